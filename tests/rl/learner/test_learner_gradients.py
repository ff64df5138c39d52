"""Gradients against a slow loop in double precision with transformers' model, and what must not change them."""

from __future__ import annotations

import copy
import random
from pathlib import Path

import pytest
import torch
from learner_models import assert_close, decoder, demonstrations, gradients, rollouts, update
from torch import Tensor

from espalier.lm.checkpoint.hf_config import to_hf
from espalier.lm.decoder import Decoder
from espalier.rl.algorithms.config import Algorithm
from espalier.rl.algorithms.table import algorithm
from espalier.rl.learner.config import CriticConfig, LearnerConfig, OptimConfig
from espalier.rl.learner.critic import Critic
from espalier.rl.learner.learner import TorchLearner
from espalier.rl.trajectory import Group

TEMPERATURE = 0.8


def learner(model: Decoder, row: Algorithm, *, skip: bool = False, **config: object) -> TorchLearner:
    settings = LearnerConfig(optim=OptimConfig(lr=1e-4), **config)  # type: ignore[arg-type]
    reference = decoder(seed=9) if settings.reference != "none" else None
    return TorchLearner(
        copy.deepcopy(model),
        settings,
        row.over(16),
        reference=reference,
        temperature=TEMPERATURE,
        skip_idle=skip,
        seed=0,
    )


def double(model: Decoder) -> torch.nn.Module:
    """The same weights in transformers, in double precision."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    config = Qwen3Config(**{k: v for k, v in to_hf(model.config).items() if k not in ("model_type", "architectures")})
    result = Qwen3ForCausalLM(config).double()
    result.load_state_dict({k: v.double() for k, v in model.state_dict().items()}, strict=False)
    return result


def loop_logprobs(model: torch.nn.Module, tokens: list[int], temperature: float) -> Tensor:
    """[len(tokens) - 1] log-probs of tokens 1, 2, ..."""
    logits = model(input_ids=torch.tensor([tokens])).logits[0, :-1] / temperature
    return logits.log_softmax(-1)[range(len(tokens) - 1), tokens[1:]]


def loop_loss(policy: torch.nn.Module, anchor: torch.nn.Module, groups: list[Group], row: Algorithm) -> Tensor:
    """Group mean, PPO's clip, k2 to the reference, cross entropy: row after row, token after token."""
    scored = [r for group in groups for r in group if r.reward is not None]
    rl, ref = [[] for _ in scored], [[] for _ in scored]
    ce = []
    for group in groups:
        for r in group:
            if r.reward is None:
                new = loop_logprobs(policy, r.tokens, 1.0)
                ce += [-new[t - 1] * w for t, w in enumerate((r.weights or {})["ce"]) if w]
                continue
            credit = r.reward - sum(other.reward or 0.0 for other in group) / len(group)
            new = loop_logprobs(policy, r.tokens, TEMPERATURE)
            with torch.no_grad():
                old = loop_logprobs(anchor, r.tokens, TEMPERATURE)
            i = next(i for i, other in enumerate(scored) if other is r)
            for t, sampled in enumerate(r.mask):
                if sampled:
                    ratio = (new[t - 1] - r.logprobs[t]).exp()
                    bounded = ratio.clamp(1 - row.clip_low, 1 + row.clip_high)
                    rl[i].append(torch.maximum(-credit * ratio, -credit * bounded))
                    gap = new[t - 1] - old[t - 1]
                    ref[i].append(ratio.detach().clamp(max=row.correction_high) * 0.5 * gap**2)

    def mean(parts: list[list[Tensor]]) -> Tensor:
        if row.aggregate == "token":
            return torch.stack([x for part in parts for x in part]).mean()
        return torch.stack([torch.stack(part).mean() for part in parts]).mean()

    loss = torch.zeros((), dtype=torch.double)
    if scored:
        loss = loss + mean(rl) + row.kl_coef * mean(ref)
    return loss + torch.stack(ce).mean() if ce else loss


@pytest.mark.parametrize("aggregate", ["token", "sequence"])
@pytest.mark.parametrize("mix", ["rl", "ce", "both"])
def test_gradients_equal_a_loop_over_rows_in_double_precision(aggregate: str, mix: str) -> None:
    row = algorithm("grpo", advantage="group_mean", aggregate=aggregate, kl_coef=0.3)
    groups = (rollouts() if mix != "ce" else []) + (demonstrations(seed=1) if mix != "rl" else [])
    model = decoder()
    found, metrics = gradients(learner(model, row, reference="frozen", tokens_per_microbatch=40), groups)
    policy, anchor = double(model), double(decoder(seed=9))
    loss = loop_loss(policy, anchor, groups, row)
    loss.backward()
    expected = {name: p.grad for name, p in policy.named_parameters()}
    assert_close(found, expected, 2e-5)  # type: ignore[arg-type]
    parts = [metrics.get(f"loss/{name}", 0.0) for name in ("rl", "ref", "ce")]
    assert sum(parts) == pytest.approx(loss.item(), rel=1e-5)


@pytest.mark.parametrize("name", ["grpo", "dapo", "dr_grpo", "gspo", "cispo", "reinforce++"])
def test_micro_batches_and_the_order_of_rows_do_not_change_gradients(name: str) -> None:
    row = algorithm(name, kl_coef=0.1, entropy_coef=0.01)
    groups = rollouts(groups=4) + demonstrations(rows=5)
    model = decoder()
    expected, _ = gradients(learner(model, row, reference="frozen", tokens_per_microbatch=10_000), groups)
    for budget in (1, 37, 90):
        shuffled = [random.Random(budget).sample(group, len(group)) for group in groups]
        random.Random(budget).shuffle(shuffled)
        found, _ = gradients(learner(model, row, reference="frozen", tokens_per_microbatch=budget), shuffled)
        assert_close(found, expected, 1e-6)


def test_a_loss_of_ones_own_moves_rows_without_an_advantage(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("def likely(new, advantage):\n    return -(1 + advantage) * new\n")
    row = algorithm("grpo", plugin={"loss": f"{tmp_path}/own.py:likely"})
    model, groups = decoder(), even(rollouts(groups=2), 1)
    found, metrics = gradients(learner(model, row), even(groups, 2))
    assert metrics["updates"] == 1.0
    assert max(float(gradient.abs().max()) for gradient in found.values()) > 0
    whole, _ = gradients(learner(model, row), even(rollouts(groups=2), 1))
    skipped, _ = gradients(learner(model, row, skip=True), even(rollouts(groups=2), 1))
    assert_close(skipped, whole, 1e-6)


def even(groups: list[Group], which: int) -> list[Group]:
    """The same with equal rewards in the first `which` groups."""
    for group in groups[:which]:
        for row in group:
            row.reward = 1.0
    return groups


@pytest.mark.parametrize("updates", [1, 2])
@pytest.mark.parametrize("name", ["grpo", "dapo", "dr_grpo", "gspo", "reinforce++_baseline"])
def test_skipping_groups_without_a_difference_leaves_the_update_as_it_is(name: str, updates: int) -> None:
    row, model, groups = algorithm(name, correction="none"), decoder(), even(rollouts(groups=4), 3)
    whole, expected = gradients(learner(model, row, updates_per_step=updates), groups)
    found, metrics = gradients(learner(model, row, skip=True, updates_per_step=updates), groups)
    assert_close(found, whole, 1e-6)
    assert metrics["updates"] == expected["updates"]
    assert metrics["loss/rl"] == pytest.approx(expected["loss/rl"], rel=1e-5, abs=1e-7)


@pytest.mark.parametrize(
    ("correction", "skip", "passes"),
    [("bypass", False, 1), ("bypass", True, 1), ("none", False, 2), ("none", True, 2)],  # none needs those before, too
)
def test_tokens_of_each_forward_pass_are_counted(correction: str, skip: bool, passes: int) -> None:
    groups, row = even(rollouts(groups=4), 3), algorithm("grpo", correction=correction)
    found = update(learner(decoder(), row, skip=skip, updates_per_step=2), groups)
    computed = groups[3:] if skip else groups
    assert found["tokens/forwarded"] == passes * sum(len(row.tokens) for group in computed for row in group)


@pytest.mark.parametrize("extra", [{"entropy_coef": 0.01}, {"kl_coef": 0.1}])
def test_groups_without_a_difference_keep_their_kl_and_entropy(extra: dict[str, float]) -> None:
    row, model = algorithm("grpo", **extra), decoder()
    whole, expected = gradients(learner(model, row, reference="frozen"), even(rollouts(groups=4), 3))
    found, metrics = gradients(learner(model, row, skip=True, reference="frozen"), even(rollouts(groups=4), 3))
    assert_close(found, whole, 1e-6)
    assert metrics["entropy"] == pytest.approx(expected["entropy"])


def test_what_is_measured_of_the_policy_is_measured_on_the_rows_computed() -> None:
    row, model, groups = algorithm("grpo"), decoder(), even(rollouts(groups=4), 3)
    _, metrics = gradients(learner(model, row, skip=True), groups)
    _, alone = gradients(learner(model, row), groups[3:])
    for name in ("entropy", "ratio/mean", "mismatch/0/abs"):
        assert metrics[name] == pytest.approx(alone[name], rel=1e-5), name


def test_rows_with_ready_advantages_teach_the_critic_nothing() -> None:
    groups, ready = rollouts(), rollouts(seed=1)
    for group in ready:
        for given in group:
            given.advantages = [0.5 * sampled for sampled in given.mask]
            given.reward = None

    def values(rows: list[Group]) -> tuple[dict[str, Tensor], float]:
        one = learner(decoder(), algorithm("ppo"), critic=CriticConfig())
        metrics = update(one, rows)
        assert one.critic is not None
        return {name: p.detach().clone() for name, p in one.critic.named_parameters()}, metrics.get("loss/value", -1.0)

    alone, loss = values(groups)
    both, loss_of_both = values(groups + ready)
    assert loss_of_both == pytest.approx(loss, rel=1e-5)
    assert_close(both, alone, 1e-5)
    untouched, none = values(ready)
    assert none == -1.0
    assert all(
        torch.equal(p, untouched[name]) for name, p in Critic.beside(decoder()).named_parameters() if "head" not in name
    )


def test_a_long_neighbour_that_trains_nothing_changes_no_gradient() -> None:
    model, groups = decoder(), rollouts()
    groups[0].append(copy.deepcopy(groups[0][0]))
    extra = groups[0][-1]
    extra.observe([1] * 60)
    extra.weights = {"rl": [0.0] * len(extra.tokens)}
    extra.reward = sum(r.reward or 0.0 for r in groups[0][:-1]) / (len(groups[0]) - 1)
    row = algorithm("dapo", advantage="group_mean")
    expected, _ = gradients(learner(model, row), [groups[0][:-1], *groups[1:]])
    found, _ = gradients(learner(model, row), groups)
    assert_close(found, expected, 1e-6)


def test_a_row_whose_tokens_are_masked_still_feeds_its_groups_baseline() -> None:
    row, groups = algorithm("dapo", advantage="group_mean"), rollouts(groups=1, members=2)
    groups[0][0].reward, groups[0][1].reward = 1.0, 0.0
    groups[0][0].weights = {"rl": [0.0] * len(groups[0][0].tokens)}
    _, metrics = gradients(learner(decoder(), row), groups)
    assert metrics["adv/mean"] == -0.5
    assert metrics["tokens/trained"] == groups[0][1].sampled


def test_a_mix_is_the_sum_of_its_parts_and_ce_weights_scale() -> None:
    model, row = decoder(), algorithm("dapo")
    some, others = rollouts(), demonstrations(seed=2)
    first, _ = gradients(learner(model, row), some)
    second, _ = gradients(learner(model, row), others)
    both, _ = gradients(learner(model, row), some + others)
    assert_close(both, {name: first[name] + second[name] for name in first}, 1e-6)
    for (shown,) in others:
        shown.weights = {"ce": [0.5 * w for w in (shown.weights or {})["ce"]]}
    halved, _ = gradients(learner(model, row), others)
    assert_close(halved, {name: 0.5 * second[name] for name in second}, 1e-6)


def test_supervised_loss_equals_transformers_cross_entropy() -> None:
    model, groups = decoder(), demonstrations(rows=8)
    found, metrics = gradients(learner(model, algorithm("grpo")), groups)
    peer = double(model)
    rows = [group[0] for group in groups]
    longest = max(len(row.tokens) for row in rows)
    ids = torch.tensor([row.tokens + [0] * (longest - len(row.tokens)) for row in rows])
    attention = torch.tensor([[1] * len(row.tokens) + [0] * (longest - len(row.tokens)) for row in rows])
    labels = torch.full_like(ids, -100)
    for i, row in enumerate(rows):
        for t, weight in enumerate((row.weights or {})["ce"]):
            if weight:
                labels[i, t] = row.tokens[t]
    loss = peer(input_ids=ids, attention_mask=attention, labels=labels).loss
    loss.backward()
    assert metrics["loss/ce"] == pytest.approx(loss.item(), rel=1e-6)
    assert_close(found, {name: p.grad for name, p in peer.named_parameters()}, 2e-5)  # type: ignore[misc]


def test_ce_mean_over_rows_weighs_rows_alike() -> None:
    groups = demonstrations(rows=2)
    singles = [gradients(learner(decoder(), algorithm("grpo")), [group])[1]["loss/ce"] for group in groups]
    _, metrics = gradients(learner(decoder(), algorithm("grpo"), ce_mean="row"), groups)
    assert metrics["loss/ce"] == pytest.approx(sum(singles) / 2, rel=1e-6)
