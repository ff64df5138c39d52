"""Properties of token losses, corrections and KL estimates: P6 to P9, P15, P18 of the algorithms page."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from rl_batches import batch, counts, token_rows

from espalier.rl.algorithms import correction, policy
from espalier.rl.algorithms.config import Algorithm
from espalier.rl.algorithms.divergence import entropy, kl_estimate, kl_loss
from espalier.rl.algorithms.gae import returns_to_go
from espalier.rl.algorithms.objective import Denominators, TokenBatch, policy_objective
from espalier.rl.algorithms.table import algorithm

F64 = torch.float64


def tensor(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=F64)


def gradient(row: Algorithm, rows: list) -> torch.Tensor:
    data = batch(rows)
    policy_objective(row, data, counts(rows, row.constant))[0].backward()
    assert data.new.grad is not None
    return data.new.grad


@pytest.mark.parametrize("aggregate", ["token", "sequence", "sequence_sum", "constant"])
def test_p06_on_policy_the_losses_have_one_gradient(aggregate: str) -> None:
    rows = token_rows(np.random.default_rng(1))
    for token in (t for row in rows for t in row):
        token.behave = token.prox = token.new
    kinds = [
        algorithm("reinforce"),
        algorithm("ppo", advantage="reward"),
        algorithm("cispo"),
        algorithm("grpo", correction="tis"),
        algorithm("grpo", correction="icepop"),
        algorithm("grpo", correction="none"),
        algorithm("rloo", correction="double_sided"),
    ]
    kinds += [algorithm("gspo")] if aggregate == "sequence" else []
    results = [gradient(Algorithm(**kind.model_dump() | {"aggregate": aggregate}), rows) for kind in kinds]
    for result in results[1:]:
        torch.testing.assert_close(result, results[0], rtol=1e-12, atol=1e-14)
    assert results[0].abs().sum() > 0


@pytest.mark.parametrize(
    ("advantage", "ratio", "moves"),
    [
        (1.0, 1.29, False),
        (1.0, 1.27, True),
        (1.0, 0.5, True),
        (-1.0, 0.79, False),
        (-1.0, 0.81, True),
        (-1.0, 2.9, True),
    ],
)
def test_p07_ppo_stops_only_on_the_far_side(advantage: float, ratio: float, moves: bool) -> None:
    new = tensor(math.log(ratio)).requires_grad_()
    token = policy.ppo_clip(new, tensor(0.0), tensor(advantage), low=0.2, high=0.28)
    token.loss.sum().backward()
    assert new.grad is not None
    assert new.grad.item() == pytest.approx(-advantage * ratio if moves else 0.0)
    assert bool(token.low | token.high) is not moves


def test_p07_dual_clip_stops_very_unlikely_bad_tokens() -> None:
    new = tensor(math.log(2.9), math.log(3.1), math.log(3.1)).requires_grad_()
    token = policy.ppo_clip(new, torch.zeros(3, dtype=F64), tensor(-1.0, -1.0, 1.0), low=0.2, high=0.2, dual=3.0)
    assert token.loss.tolist() == pytest.approx([2.9, 3.0, -1.2])
    token.loss.sum().backward()
    assert new.grad is not None
    assert new.grad.tolist() == pytest.approx([2.9, 0.0, 0.0])


def softmax_pair() -> tuple[torch.Tensor, torch.Tensor]:
    logits = tensor(0.2, -1.0, 0.7, 0.1).requires_grad_()
    return logits, torch.log_softmax(tensor(-0.4, 0.3, 0.5, 1.1), -1)


def test_p08_kl_estimators_values_by_enumeration() -> None:
    logits, ref = softmax_pair()
    logp = torch.log_softmax(logits, -1).detach()
    true = (logp.exp() * (logp - ref)).sum().item()
    for kind in ("k1", "k3"):
        assert (logp.exp() * kl_loss(logp, ref, kind)).sum().item() == pytest.approx(true, abs=1e-14)
        assert float((logp.exp().numpy() * kl_estimate((logp - ref).numpy(), kind)).sum()) == pytest.approx(true)
    gaps = torch.arange(-50, 51, dtype=F64) / 10
    k3 = kl_loss(gaps, torch.zeros_like(gaps), "k3")
    assert (k3 >= 0).all()
    assert k3[50] == 0
    assert (k3 == 0).sum() == 1


def test_p08_kl_estimators_gradients_by_enumeration() -> None:
    logits, ref = softmax_pair()
    logp = torch.log_softmax(logits, -1)

    def gradient_of(value: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(value, logits, retain_graph=True)[0]

    def sampled(kind: str) -> torch.Tensor:
        """Expected gradient of the estimator as a loss: tokens are drawn from a fixed copy of the policy."""
        return gradient_of((logp.detach().exp() * kl_loss(logp, ref, kind)).sum())

    forward, reverse = (ref.exp() * (ref - logp)).sum(), (logp.exp() * (logp - ref)).sum()
    torch.testing.assert_close(sampled("k1"), torch.zeros(4, dtype=F64), atol=1e-14, rtol=0)
    torch.testing.assert_close(sampled("k2"), gradient_of(reverse))
    torch.testing.assert_close(sampled("k3"), gradient_of(forward))


def test_p08_k2_of_another_policys_tokens_keeps_its_gradient() -> None:
    """The importance weight makes the objective's KL gradient right for tokens that an older policy sampled."""
    logits, ref = softmax_pair()
    behave = torch.log_softmax(tensor(0.0, -0.8, 0.9, 0.3), -1)
    logp = torch.log_softmax(logits, -1)
    reverse = torch.autograd.grad((logp.exp() * (logp - ref)).sum(), logits, retain_graph=True)[0]
    expectation = 4 * behave.exp()  # weights that turn the mean over four tokens into the mean over their distribution
    data = TokenBatch(logp, behave, torch.zeros(4, dtype=F64), expectation, torch.arange(4), ref=ref)
    loss, _ = policy_objective(algorithm("reinforce", kl_coef=1.0), data, Denominators.count([1] * 4))
    torch.testing.assert_close(torch.autograd.grad(loss, logits)[0], reverse)


def test_p08_clamps() -> None:
    huge = tensor(-50.0, 50.0)
    assert kl_loss(huge, torch.zeros(2, dtype=F64), "k1").tolist() == [-20.0, 20.0]
    assert kl_loss(huge, torch.zeros(2, dtype=F64), "k3").tolist() == [10.0, 10.0]
    assert kl_estimate(huge.numpy(), "k3").tolist() == [10.0, 10.0]


def test_entropy_of_known_distributions() -> None:
    logits = torch.stack([torch.zeros(8, dtype=F64), tensor(1000.0, *[0.0] * 7)])
    assert entropy(logits).tolist() == pytest.approx([math.log(8), 0.0])


def test_p09_importance_weights_have_mean_one_and_truncation_lowers_it() -> None:
    prox, behave = (
        torch.log_softmax(tensor(0.1, 2.0, -0.5, 0.4), -1),
        torch.log_softmax(tensor(0.6, 0.2, 0.1, -0.3), -1),
    )

    def expected(weight: torch.Tensor) -> float:
        return (behave.exp() * weight).sum().item()

    exact = correction.decoupled(prox, behave)
    assert expected(exact) == pytest.approx(1.0, abs=1e-14)
    capped = correction.truncated_is(prox, behave, cap=1.5)
    assert capped.max() == 1.5
    assert expected(capped) < 1.0
    kept = correction.icepop(prox, behave, low=0.5, high=2.0)
    assert ((kept == 0) == ((exact < 0.5) | (exact > 2.0))).all()
    assert (kept == 0).any()
    assert (kept > 0).any()
    sided = correction.double_sided(prox, behave, low=0.2, high=0.28)
    assert ((sided == 0) == ((exact <= 0.8) | (exact >= 1.28))).all()


def test_p15_a_mixture_of_policies_bounds_the_weight_by_two() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        new, old = (torch.log_softmax(torch.tensor(rng.normal(0, 3, 6)), -1) for _ in range(2))
        mixture = torch.logaddexp(new, old) - math.log(2)
        assert correction.decoupled(new, mixture).max() <= 2 + 1e-12


def test_sequence_mask_drops_only_bad_drifted_rows() -> None:
    new, behave = tensor(-2.0, -2.0, -2.0, -1.0), tensor(-1.0, -1.0, -1.0, -1.0)
    row, present = torch.tensor([0, 0, 1, 2]), torch.ones(4, dtype=F64)
    kept = correction.sequence_mask(new, behave, tensor(-1.0, 1.0, -1.0, -1.0), present, row, low=0.5)
    assert kept.tolist() == [0.0, 1.0, 0.0, 1.0]
    kept = correction.sequence_mask(new, behave, tensor(-1.0, 1.0, -1.0, -1.0), present, row, low=0.3)
    assert kept.tolist() == [1.0] * 4


def test_lag_mask() -> None:
    assert correction.lag_mask(torch.tensor([0, 2, 3]), 2).tolist() == [1.0, 1.0, 0.0]


def test_gspo_by_hand() -> None:
    new = tensor(-1.0, -0.5, -3.0).requires_grad_()
    old, row = tensor(-1.2, -0.6, -3.0), torch.tensor([0, 0, 1])
    token = policy.gspo(new, old, tensor(1.0, 1.0, 1.0), torch.ones(3, dtype=F64), row, low=0.1, high=0.2)
    s = math.exp(0.15)
    assert token.loss.tolist() == pytest.approx([-s, -s, -1.0])
    token.loss.sum().backward()
    assert new.grad is not None
    assert new.grad.tolist() == pytest.approx([-s, -s, -1.0])


def test_cispo_by_hand_keeps_every_gradient() -> None:
    new = tensor(math.log(2.0), math.log(0.1), 0.0).requires_grad_()
    token = policy.cispo(new, torch.zeros(3, dtype=F64), tensor(1.0, -1.0, 2.0), low=0.5, high=0.28)
    token.loss.sum().backward()
    assert new.grad is not None
    assert new.grad.tolist() == pytest.approx([-1.28, 0.5, -2.0])
    assert (token.high.tolist(), token.low.tolist()) == ([True, False, False], [False, True, False])


def test_p18_distillation_gradient_of_one_step_is_that_of_the_kl() -> None:
    logits, teacher = softmax_pair()
    logp = torch.log_softmax(logits, -1)
    loss = policy.reinforce(logp, logp.detach(), (teacher - logp).detach()).loss
    got = torch.autograd.grad((logp.detach().exp() * loss).sum(), logits)[0]

    def divergence(at: torch.Tensor) -> float:
        p = torch.log_softmax(at, -1)
        return (p.exp() * (p - teacher)).sum().item()

    for i in range(4):
        step = torch.zeros(4, dtype=F64)
        step[i] = 1e-6
        slope = (divergence(logits.detach() + step) - divergence(logits.detach() - step)) / 2e-6
        assert got[i].item() == pytest.approx(slope, abs=1e-8)


def test_p18_two_steps_summed_gaps_match_the_sequence_and_single_gaps_the_frozen_prefix() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(*shape, generator=generator, dtype=F64) for shape in [(3,), (3, 3)])
    first.requires_grad_()
    second.requires_grad_()
    teacher = [torch.log_softmax(torch.randn(*shape, generator=generator, dtype=F64), -1) for shape in [(3,), (3, 3)]]
    one, two = torch.log_softmax(first, -1), torch.log_softmax(second, -1)

    def distilled(summed: bool) -> tuple[torch.Tensor, ...]:
        total = torch.zeros((), dtype=F64)
        for a, b in itertools.product(range(3), repeat=2):
            logp = torch.stack([one[a], two[a, b]])
            gap = (torch.stack([teacher[0][a], teacher[1][a, b]]) - logp).detach()
            credit = torch.from_numpy(returns_to_go(gap.numpy(), np.array([0, 2]), 1.0)) if summed else gap
            total = total + logp.detach().sum().exp() * policy.reinforce(logp, logp.detach(), credit).loss.sum()
        return torch.autograd.grad(total, (first, second), retain_graph=True)

    def exact(frozen: bool) -> tuple[torch.Tensor, ...]:
        inner = (two.exp() * (two - teacher[1])).sum(-1)
        prefix = one.exp().detach() if frozen else one.exp()
        return torch.autograd.grad(
            (one.exp() * (one - teacher[0])).sum() + (prefix * inner).sum(), (first, second), retain_graph=True
        )

    for summed in (True, False):
        for got, want in zip(distilled(summed), exact(frozen=not summed), strict=True):
            torch.testing.assert_close(got, want, atol=1e-12, rtol=1e-10)
    assert not torch.allclose(distilled(True)[0], distilled(False)[0])
