import math

import pytest
import torch
from torch import nn

from espalier.core.errors import ConfigError, DataError
from espalier.rl.learner.config import OptimConfig
from espalier.rl.learner.optimizer.muon import Muon, orthogonalise
from espalier.rl.learner.optimizer.optim import Optimizer, scale


class Tiny(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(5, 8)
        self.layers = nn.ModuleList([nn.Linear(8, 6), nn.Linear(6, 8), nn.Linear(8, 6)])


def fill(model: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for p in model.parameters():
        p.grad = torch.randn(p.shape, generator=generator)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ("constant", [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("linear", [0.5, 1.0, 1.0, 0.775, 0.55, 0.325, 0.1]),
        ("cosine", [0.5, 1.0, 1.0, 0.1 + 0.45 * (1 + math.sqrt(0.5)), 0.55, 0.1 + 0.45 * (1 - math.sqrt(0.5)), 0.1]),
    ],
)
def test_schedules_by_hand(schedule: str, expected: list[float]) -> None:
    config = OptimConfig(schedule=schedule, warmup=2, total_steps=6, final_lr=0.1)  # type: ignore[arg-type]
    assert [scale(config, step) for step in (0, 1, 2, 3, 4, 5, 6)] == pytest.approx(expected)
    assert scale(config, 100) == pytest.approx(expected[-1])


def test_a_schedule_without_an_end_is_refused_at_once() -> None:
    with pytest.raises(ConfigError, match="total_steps"):
        Optimizer(Tiny().named_parameters(), OptimConfig(schedule="cosine"))


def test_newton_schulz_brings_singular_values_near_one_and_keeps_the_vectors() -> None:
    torch.manual_seed(0)
    for shape in [(3, 6, 10), (2, 10, 6), (1, 8, 8)]:
        matrices = torch.randn(shape, dtype=torch.float64)
        result = orthogonalise(matrices, steps=5)
        values = torch.linalg.svdvals(result)
        assert values.min() > 0.3
        assert values.max() < 1.3
        u, _, vh = torch.linalg.svd(matrices, full_matrices=False)
        inner = u.mT @ result @ vh.mT
        assert torch.allclose(inner, torch.diag_embed(inner.diagonal(dim1=-2, dim2=-1)), atol=1e-9)


def test_stacked_muon_equals_torch_muon_up_to_its_bfloat16() -> None:
    torch.manual_seed(1)
    start = [torch.randn(6, 10), torch.randn(10, 6), torch.randn(6, 10)]
    ours, theirs = ([nn.Parameter(m.clone()) for m in start] for _ in range(2))
    ours_optimizer = Muon(ours, lr=0.1, momentum=0.9, weight_decay=0.1)
    their_optimizer = torch.optim.Muon(theirs, lr=0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(4):
        for p, q in zip(ours, theirs, strict=True):
            p.grad = torch.randn_like(p)
            q.grad = p.grad.clone()
        ours_optimizer.step()
        their_optimizer.step()
    for p, q, first in zip(ours, theirs, start, strict=True):
        assert (p - q).norm() < 0.03 * (q - first).norm()


def test_adamw_equals_torch_and_vectors_do_not_decay() -> None:
    torch.manual_seed(2)
    ours, theirs = Tiny(), Tiny()
    theirs.load_state_dict(ours.state_dict())
    optimizer = Optimizer(ours.named_parameters(), OptimConfig(lr=0.01, weight_decay=0.1, grad_clip=None))
    matrices = [p for p in theirs.parameters() if p.ndim == 2]
    vectors = [p for p in theirs.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}]
    plain = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95), foreach=False)
    for seed in range(3):
        fill(ours, seed)
        fill(theirs, seed)
        optimizer.step()
        plain.step()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=1e-6, atol=1e-6)


def test_clipping_bounds_the_norm_and_reports_the_one_before() -> None:
    model = nn.Linear(3, 1, bias=False)
    before = model.weight.detach().clone()
    optimizer = Optimizer(model.named_parameters(), OptimConfig(lr=0.1, grad_clip=0.5, eps=1e3, betas=(0.0, 0.0)))
    model.weight.grad = torch.tensor([[3.0, 4.0, 0.0]])
    stepped = optimizer.step()
    assert stepped.norm == pytest.approx(5.0)
    moved = (before - model.weight) * 1e4  # eps dwarfs the second moment: the step is lr * grad / eps
    torch.testing.assert_close(moved, torch.tensor([[0.3, 0.4, 0.0]]), rtol=1e-2, atol=1e-2)
    assert model.weight.grad is None


def test_a_gradient_that_is_not_finite_changes_nothing() -> None:
    model = Tiny()
    optimizer = Optimizer(model.named_parameters(), OptimConfig(name="muon"))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    fill(model, 0)
    model.layers[1].weight.grad[0, 0] = torch.nan  # type: ignore[union-attr,index]
    stepped = optimizer.step()
    assert stepped.skipped
    assert (optimizer.clock.steps, optimizer.clock.skipped) == (0, 1)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())
    assert all(p.grad is None for p in model.parameters())


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_restored_state_goes_on_to_the_last_bit(name: str) -> None:
    config = OptimConfig(name=name, warmup=4, weight_decay=0.1)  # type: ignore[arg-type]
    torch.manual_seed(3)
    through, first = Tiny(), Tiny()
    first.load_state_dict(through.state_dict())
    one, two = Optimizer(through.named_parameters(), config), Optimizer(first.named_parameters(), config)
    for seed in range(3):
        for model, optimizer in ((through, one), (first, two)):
            fill(model, seed)
            optimizer.step()
    second = Tiny()
    second.load_state_dict(first.state_dict())
    three = Optimizer(second.named_parameters(), config)
    three.load({k: v.clone() for k, v in two.state().items()}, two.clock)
    for seed in range(3, 6):
        for model, optimizer in ((through, one), (second, three)):
            fill(model, seed)
            optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(through.parameters(), second.parameters(), strict=True))


def test_the_state_of_another_optimizer_is_refused() -> None:
    model = Tiny()
    adamw = Optimizer(model.named_parameters(), OptimConfig())
    fill(model, 0)
    adamw.step()
    with pytest.raises(DataError, match="fit no parameter"):
        Optimizer(model.named_parameters(), OptimConfig(name="muon")).load(adamw.state(), adamw.clock)


def test_frozen_parameters_are_left_out_and_a_frozen_model_refused() -> None:
    model = Tiny()
    model.embed_tokens.requires_grad_(False)
    optimizer = Optimizer(model.named_parameters(), OptimConfig())
    fill(model, 0)
    optimizer.step()
    assert not any(key.startswith("embed_tokens") for key in optimizer.state())
    with pytest.raises(ConfigError, match="trainable"):
        Optimizer(model.requires_grad_(False).named_parameters(), OptimConfig())


@pytest.mark.parametrize("steps", [1, 2, 5, 100])
def test_a_schedule_fits_any_length_of_run(steps: int) -> None:
    config = OptimConfig(schedule="linear", warmup=10, lr=1.0).over(steps)
    rates = [scale(config, step) for step in range(steps)]
    assert all(0.0 < rate <= 1.0 for rate in rates)
    assert max(rates) == 1.0
    assert OptimConfig(schedule="linear", total_steps=7).over(steps).total_steps == 7


@pytest.mark.parametrize("name", ["adamw", "muon"])
def test_after_a_reset_the_next_step_is_as_the_first(name: str) -> None:
    config = OptimConfig(name=name, schedule="linear", total_steps=9)  # type: ignore[arg-type]
    torch.manual_seed(3)
    used, fresh = Tiny(), Tiny()
    one, other = Optimizer(used.named_parameters(), config), Optimizer(fresh.named_parameters(), config)
    for seed in range(3):
        fill(used, seed)
        one.step()
    one.reset()
    fresh.load_state_dict(used.state_dict())
    other.clock = one.clock
    for model, optimizer in ((used, one), (fresh, other)):
        fill(model, 7)
        optimizer.step()
    assert all(torch.equal(p, q) for p, q in zip(used.parameters(), fresh.parameters(), strict=True))
    assert one.clock.steps == 4, "the schedule goes on"
