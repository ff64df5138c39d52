"""What one update does, reports and refuses."""

from __future__ import annotations

import asyncio
import copy
import math

import numpy as np
import pytest
import torch
from learner_models import VOCABULARY, decoder, demonstrations, gradients, rollouts, update

from espalier.core.errors import ConfigError
from espalier.core.hardware import has_bf16
from espalier.engine.api import Sampling
from espalier.engine.local import LocalEngine
from espalier.lm.config import LoraConfig
from espalier.lm.decoder import Decoder
from espalier.lm.lora import inject
from espalier.rl.algorithms.table import algorithm
from espalier.rl.learner.config import CriticConfig, LearnerConfig, OptimConfig
from espalier.rl.learner.critic import Critic, value_loss
from espalier.rl.learner.learner import LearnerError, TorchLearner
from espalier.rl.learner.mismatch import mismatch
from espalier.rl.learner.precision import autocast
from espalier.rl.trajectory import Group, Trajectory
from espalier.rl.unit import Unit


def snapshot(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in module.named_parameters()}


def unchanged(module: torch.nn.Module, before: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(p, before[name]) for name, p in module.named_parameters())


def sampled(model: Decoder, *, temperature: float = 1.0, groups: int = 3, members: int = 4) -> list[Group]:
    """Rows that the embedded engine sampled from `model`."""
    engine = LocalEngine(model, max_rows=8, max_len=64)
    prompts = [[1 + g, 2, 3][: 1 + g] for g in range(groups)]

    async def play() -> list[Group]:
        result = []
        for g, prompt in enumerate(prompts):
            group = []
            for m in range(members):
                row = Trajectory("task", f"key {g}", g, m, reward=float(m % 2))
                row.observe(prompt)
                for _ in range(2):
                    plan = Sampling(max_tokens=4 + m, temperature=temperature, seed=100 * g + m)
                    completion = await engine.generate(row.tokens, plan)
                    row.sample(completion.tokens, completion.logprobs, completion.versions)
                    row.observe([4, 5], "tool")
                group.append(row)
            result.append(group)
        return result

    return asyncio.run(play())


@pytest.mark.parametrize(
    ("family", "temperature"), [("qwen3", 1.0), ("llama", 1.0), ("glm4", 1.0), ("glm4_moe", 1.0), ("qwen3", 0.7)]
)
def test_the_learner_finds_the_engines_log_probs(family: str, temperature: float) -> None:
    model = decoder(family=family)
    learner = TorchLearner(model, LearnerConfig(), algorithm("grpo"), temperature=temperature, seed=0)
    metrics = update(learner, sampled(model, temperature=temperature))
    assert metrics["mismatch/0/abs"] < 1e-5
    assert metrics["mismatch/0/ess"] > 0.9999
    assert metrics["ratio/mean"] == pytest.approx(1.0, abs=1e-5)


def test_a_step_is_reported_under_the_canonical_names() -> None:
    config = LearnerConfig(reference="ema", critic=CriticConfig(), updates_per_step=2)
    learner = TorchLearner(decoder(), config, algorithm("ppo", kl_coef=0.1, entropy_coef=0.01), seed=0)
    metrics = update(learner, rollouts(version=0) + demonstrations())
    expected = {"loss/rl", "loss/ce", "loss/value", "clip/low", "clip/high", "kl/ref", "entropy", "adv/mean", "adv/std"}
    expected |= {"grad_norm", "grad_norm/critic", "lr", "tokens", "tokens/trained", "updates", "grad_skipped"}
    expected |= {f"mismatch/0/{name}" for name in ("abs", "k1", "k3", "ess", "ratio")} | {"time/train"}
    assert expected <= metrics.keys()
    assert all(map(math.isfinite, metrics.values()))
    assert metrics["updates"] == 2
    assert metrics["tokens"] == sum(len(row.tokens) for group in rollouts() + demonstrations() for row in group)
    assert 0 < metrics["entropy"] <= math.log(VOCABULARY)
    assert learner.version == 1


def test_several_optimizer_steps_see_the_proximal_policy() -> None:
    groups = rollouts()
    prox = algorithm("grpo", correction="none")
    config = LearnerConfig(optim=OptimConfig(lr=1e-2), epochs=3)
    moved = update(TorchLearner(decoder(), config, prox, seed=0), groups)
    assert moved["ratio/max"] > 1.05
    once = update(TorchLearner(decoder(), LearnerConfig(), prox, seed=0), groups)
    assert once["ratio/max"] == pytest.approx(1.0)
    # the weights at the start of the step, not those it ends with, are compared with the engine's
    assert moved["mismatch/0/abs"] == pytest.approx(once["mismatch/0/abs"], rel=1e-5)


@pytest.mark.parametrize("groups", [[], [[]], [[Trajectory("task", "key", reward=1.0)]]])
def test_nothing_to_train_is_a_step_without_optimizer_steps(groups: list[Group]) -> None:
    learner = TorchLearner(decoder(), LearnerConfig(critic=CriticConfig()), algorithm("ppo"), seed=0)
    before = snapshot(learner.model)
    metrics = update(learner, groups)
    assert metrics["updates"] == 0
    assert all(map(math.isfinite, metrics.values()))
    assert unchanged(learner.model, before)
    assert learner.version == 1


def test_equal_rewards_move_nothing_not_even_by_momentum() -> None:
    config = LearnerConfig(optim=OptimConfig(weight_decay=0.1))
    learner = TorchLearner(decoder(), config, algorithm("grpo"), seed=0)
    update(learner, rollouts())
    before = snapshot(learner.model)
    groups = rollouts(seed=1)
    for group in groups:
        for row in group:
            row.reward = 0.5
    metrics = update(learner, groups)
    assert (metrics["updates"], metrics["adv/std"]) == (0, 0)
    assert unchanged(learner.model, before)


def test_gradients_that_are_not_finite_are_skipped_and_then_an_error() -> None:
    learner = TorchLearner(decoder(), LearnerConfig(max_skipped=3), algorithm("dapo"), seed=0)
    update(learner, rollouts())
    before = snapshot(learner.model)
    broken = rollouts(seed=1)
    for group in broken:
        for row in group:
            row.advantages = [math.inf] * len(row.tokens)
    for _ in range(2):
        metrics = update(learner, broken)
        assert metrics["grad_skipped"] == 1
        assert "grad_norm" not in metrics
    assert unchanged(learner.model, before)
    assert update(learner, rollouts(seed=2))["grad_skipped"] == 0
    for _ in range(2):
        update(learner, broken)
    with pytest.raises(LearnerError, match="3 optimizer steps in a row"):
        update(learner, broken)


def test_supervised_training_memorises_a_row() -> None:
    config = LearnerConfig(optim=OptimConfig(name="muon", lr=1e-2))
    learner = TorchLearner(decoder(), config, algorithm("grpo"), seed=0)
    groups = demonstrations(rows=1)
    losses = [update(learner, groups)["loss/ce"] for _ in range(40)]
    assert losses[0] > 2.0
    assert losses[-1] < 0.05


@pytest.mark.parametrize("name", ["reinforce", "grpo", "ppo"])
def test_reinforcement_finds_the_rewarded_token(name: str) -> None:
    model = decoder()
    config = LearnerConfig(optim=OptimConfig(lr=1e-2), critic=CriticConfig() if name == "ppo" else None)
    learner = TorchLearner(model, config, algorithm(name), seed=0)
    engine = LocalEngine(model, max_rows=16, max_len=16)

    async def step(number: int) -> float:
        plans = [Sampling(max_tokens=2, seed=1000 * number + m) for m in range(16)]
        completions = await asyncio.gather(*(engine.generate([1, 2], plan) for plan in plans))
        group = []
        for m, completion in enumerate(completions):
            row = Trajectory("bandit", "key", 0, m, reward=float(completion.tokens[1] == 7) - 0.1)
            row.observe([1, 2])
            row.sample(completion.tokens, completion.logprobs, completion.versions)
            row.reward = completion.tokens.count(7) / 2
            group.append(row)
        await learner.update([Unit(group)])
        await engine.load(await learner.publish())
        return float(np.mean([row.reward or 0.0 for row in group]))

    rewards = [asyncio.run(step(number)) for number in range(60)]
    assert np.mean(rewards[:5]) < 0.4
    assert np.mean(rewards[-5:]) > 0.9


def test_the_moving_reference_follows_and_the_frozen_one_does_not() -> None:
    row = algorithm("grpo", kl_coef=0.1)
    for kind, decay in (("ema", 0.75), ("frozen", 1.0)):
        model = decoder()
        start = snapshot(model)
        learner = TorchLearner(model, LearnerConfig(reference=kind, ema_decay=0.75), row, seed=0)  # type: ignore[arg-type]
        update(learner, rollouts())
        assert learner.reference is not None
        for name, p in learner.reference.model.named_parameters():
            moved = dict(model.named_parameters())[name]
            torch.testing.assert_close(p, decay * start[name] + (1 - decay) * moved.detach())


def test_the_kl_pulls_back_to_the_reference_without_any_reward() -> None:
    config = LearnerConfig(reference="frozen", optim=OptimConfig(lr=3e-3))
    model = decoder()
    learner = TorchLearner(model, config, algorithm("grpo", kl_coef=1.0), reference=decoder(seed=3), seed=0)
    values = []
    for _ in range(10):
        groups = sampled(model)
        for group in groups:
            for row in group:
                row.reward = 0.0
        values.append(update(learner, groups)["kl/ref"])
    assert values[-1] < 0.7 * values[0]


def test_the_critic_learns_the_return_and_sees_only_what_came_before() -> None:
    config = LearnerConfig(critic=CriticConfig(optim=OptimConfig(lr=3e-3), value_clip=None), epochs=4)
    learner = TorchLearner(decoder(), config, algorithm("ppo"), seed=0)
    groups = rollouts(groups=2, members=3)
    losses = [update(learner, groups)["loss/value"] for _ in range(15)]
    assert losses[-1] < 0.3 * losses[0]
    critic, row = learner.critic, copy.deepcopy(groups[0][0])
    assert critic is not None
    last = max(t for t, one in enumerate(row.mask) if one)
    from espalier.rl.learner.batches.pack import columns, pack
    from espalier.rl.learner.stages import value_pass

    values = []
    for token in (1, 2):
        row.tokens[last] = token
        batch = pack(columns([row]), [0], torch.device("cpu"))
        values.append(value_pass(critic)(batch).tolist())
    assert values[0] == values[1]


def test_value_clipping_by_hand() -> None:
    new, old, returns = torch.tensor([1.0, 1.0, 0.1]), torch.tensor([0.0, 0.0, 0.0]), torch.tensor([2.0, 0.5, 1.0])
    assert value_loss(new, old, returns, None).tolist() == pytest.approx([0.5, 0.125, 0.405])
    # held at 0.2: (0.2 - 2)^2 / 2 is worse; (0.2 - 0.5)^2 / 2 is better, so the free one stays; 0.1 is within
    assert value_loss(new, old, returns, 0.2).tolist() == pytest.approx([1.62, 0.125, 0.405])


def test_adapters_are_published_by_the_names_the_engine_knows() -> None:
    model = decoder()
    inject(model, LoraConfig(rank=2, alpha=4.0))
    learner = TorchLearner(model, LearnerConfig(optim=OptimConfig(lr=1e-2)), algorithm("grpo"), seed=0)
    engine = LocalEngine(model, max_rows=4, max_len=64, weights="copy")
    update(learner, rollouts())

    async def completed() -> list[float]:
        await engine.load(await learner.publish())
        return (await engine.generate([1, 2], Sampling(max_tokens=8))).logprobs

    fresh = LocalEngine(model, max_rows=4, max_len=64)
    expected = asyncio.run(fresh.generate([1, 2], Sampling(max_tokens=8))).logprobs
    assert asyncio.run(completed()) == pytest.approx(expected, abs=1e-6)
    assert engine.version == 1


def test_mismatch_by_hand() -> None:
    learner = np.log(np.array([0.5, 0.5, 0.2], np.float32))
    behave = np.log(np.array([0.25, 0.5, 0.2], np.float32))
    found = mismatch(learner, behave, np.array([0, 0, 3]))
    assert found["mismatch/0/abs"] == pytest.approx(math.log(2) / 2, rel=1e-6)
    assert found["mismatch/0/k1"] == pytest.approx(-math.log(2) / 2, rel=1e-6)
    assert found["mismatch/0/k3"] == pytest.approx((2 - 1 - math.log(2)) / 2, rel=1e-6)
    assert found["mismatch/0/ratio"] == pytest.approx(2.0, rel=1e-6)
    assert found["mismatch/0/ess"] == pytest.approx(9 / (2 * 5), rel=1e-6)
    assert found["mismatch/2-3/abs"] == 0.0
    assert not any(name.startswith("mismatch/1/") for name in found)


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"learner\.reference is none"):
        TorchLearner(decoder(), LearnerConfig(), algorithm("grpo"), reference=decoder(), seed=0)
    with pytest.raises(ConfigError, match=r"learner\.critic is not set"):
        TorchLearner(decoder(), LearnerConfig(), algorithm("ppo"), critic=Critic.beside(decoder()), seed=0)
    with pytest.raises(ConfigError, match=r"set learner\.critic"):
        update(TorchLearner(decoder(), LearnerConfig(), algorithm("ppo"), seed=0), rollouts())
    with pytest.raises(ConfigError, match=r"set learner\.reference"):
        update(TorchLearner(decoder(), LearnerConfig(), algorithm("grpo", kl_coef=0.1), seed=0), rollouts())
    with pytest.raises(ConfigError, match=r"set algorithm\.constant"):
        TorchLearner(decoder(), LearnerConfig(), algorithm("dr_grpo"), seed=0)
    with pytest.raises(ConfigError, match="trainable"):
        TorchLearner(decoder().requires_grad_(False), LearnerConfig(), algorithm("grpo"), seed=0)


def test_bfloat16_is_used_only_where_the_hardware_has_it() -> None:
    cpu = torch.device("cpu")
    if has_bf16(cpu):
        found, _ = gradients(
            TorchLearner(decoder(), LearnerConfig(precision="auto"), algorithm("grpo"), seed=0), rollouts()
        )
        exact, _ = gradients(TorchLearner(decoder(), LearnerConfig(), algorithm("grpo"), seed=0), rollouts())
        assert all(torch.allclose(found[n], exact[n], rtol=0.2, atol=0.05) for n in exact)
    else:
        with pytest.raises(ConfigError, match="no bfloat16"):
            autocast("bf16", cpu)
        found, _ = gradients(
            TorchLearner(decoder(), LearnerConfig(precision="auto"), algorithm("grpo"), seed=0), rollouts()
        )
        exact, _ = gradients(TorchLearner(decoder(), LearnerConfig(), algorithm("grpo"), seed=0), rollouts())
        assert all(torch.equal(found[n], exact[n]) for n in exact)


def test_moments_are_cleared_at_each_step_where_asked() -> None:
    config = LearnerConfig(optim=OptimConfig(lr=1e-3), reset_optimizer=True)
    model, fresh = decoder(), decoder()
    learner = TorchLearner(model, config, algorithm("reinforce"), seed=1)
    groups = rollouts(3)
    update(learner, groups)
    fresh.load_state_dict(model.state_dict())
    other = TorchLearner(fresh, config, algorithm("reinforce"), seed=1)
    other._version = 1
    update(learner, groups)
    update(other, groups)
    assert unchanged(fresh, snapshot(model)), "nothing of the first step is left but the weights"


def test_the_probe_is_what_the_engine_says() -> None:
    model = decoder()
    learner = TorchLearner(model, LearnerConfig(), algorithm("reinforce"), seed=1)
    engine = LocalEngine(model, max_rows=8, max_len=64)

    async def main() -> None:
        probe = await learner.probe()
        assert probe == await learner.probe()
        assert (
            probe.sequences
            != (await TorchLearner(model, LearnerConfig(), algorithm("reinforce"), seed=2).probe()).sequences
        )
        for sequence, expected in zip(probe.sequences, probe.logprobs, strict=True):
            assert await engine.score(sequence) == pytest.approx(expected, abs=1e-5)

    asyncio.run(main())
