"""What a learner saves: 10 + 10 updates equal 20 to the last bit."""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from learner_models import decoder, demonstrations, rollouts, update

from espalier.core.errors import DataError
from espalier.lm.config import LoraConfig
from espalier.lm.decoder import Decoder
from espalier.lm.lora import inject
from espalier.rl.algorithms.table import algorithm
from espalier.rl.learner import checkpoint
from espalier.rl.learner.config import CriticConfig, LearnerConfig, OptimConfig
from espalier.rl.learner.learner import TorchLearner
from espalier.rl.trajectory import Group

LINEAR = OptimConfig(name="muon", lr=1e-3, schedule="linear", warmup=3, total_steps=60, weight_decay=0.01)

CASES: dict[str, tuple[dict[str, Any], str]] = {
    "adamw": ({}, "grpo"),
    "muon": ({"optim": LINEAR}, "dapo"),
    "moving reference": ({"reference": "ema", "ema_decay": 0.8, "updates_per_step": 2}, "grpo"),
    "frozen reference": ({"reference": "frozen", "epochs": 2}, "reinforce++"),
    "critic": ({"critic": CriticConfig(optim=LINEAR), "updates_per_step": 2, "epochs": 2}, "ppo"),
    "adapters": ({"optim": OptimConfig(lr=1e-2)}, "grpo"),
}


def make(case: str, model: Decoder) -> TorchLearner:
    settings, name = CASES[case]
    model = copy.deepcopy(model)
    if case == "adapters":
        inject(model, LoraConfig(rank=2, alpha=4.0))
    row = algorithm(name, kl_coef=0.1 if "reference" in case else 0.0)
    return TorchLearner(model, LearnerConfig(tokens_per_microbatch=60, **settings), row, seed=5)


def batch(step: int) -> list[Group]:
    return rollouts(seed=step, groups=2, version=step) + demonstrations(seed=step, rows=2)


@pytest.mark.parametrize("case", CASES)
def test_ten_and_ten_updates_equal_twenty_to_the_last_bit(case: str, tmp_path: Path) -> None:
    model = decoder()
    through = make(case, model)
    first = make(case, model)
    for step in range(10):
        assert untimed(update(through, batch(step))) == untimed(update(first, batch(step)))
    asyncio.run(first.save(tmp_path))
    second = make(case, model)
    asyncio.run(second.load(tmp_path))
    assert second.version == 10
    for step in range(10, 20):
        assert untimed(update(through, batch(step))) == untimed(update(second, batch(step)))
    for one, other in zip(modules(through), modules(second), strict=True):
        ours, theirs = one.state_dict(), other.state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    moved = [not torch.equal(p, q) for p, q in zip(model.parameters(), second.model.parameters(), strict=False)]
    assert case == "adapters" or all(moved)


def untimed(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if not name.startswith("time/")}


def modules(learner: TorchLearner) -> list[torch.nn.Module]:
    anchor = learner.reference.model if learner.reference else None
    return [module for module in (learner.model, learner.critic, anchor) if module is not None]


def test_a_checkpoint_holds_safetensors_and_json_alone(tmp_path: Path) -> None:
    learner = make("critic", decoder())
    update(learner, batch(0))
    asyncio.run(learner.save(tmp_path / "learner"))
    names = {path.name for path in (tmp_path / "learner").iterdir()}
    tensors = {"policy", "policy_optimizer", "critic", "critic_optimizer"}
    assert names == {"state.json"} | {f"{name}.safetensors" for name in tensors}
    state = json.loads((tmp_path / "learner" / "state.json").read_text())
    assert state["version"] == 1
    assert state["policy"] == {"steps": 4, "skipped": 0}


def test_only_adapters_are_saved_and_the_base_stays(tmp_path: Path) -> None:
    model = decoder()
    learner = make("adapters", model)
    for step in range(3):
        update(learner, batch(step))
    asyncio.run(learner.save(tmp_path))
    saved = checkpoint.read_part(tmp_path, "policy")
    assert saved
    assert all("lora_" in name for name in saved)
    before = model.state_dict()
    after = learner.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert any(float(after[name].abs().max()) > 0 for name in after if "lora_B" in name)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda path: (path / "state.json").unlink(), "state.json"),
        (lambda path: (path / "state.json").write_text('{"format": 0}'), "format 0"),
        (lambda path: (path / "policy.safetensors").write_bytes(b"junk"), "policy.safetensors"),
        (lambda path: (path / "policy_optimizer.safetensors").unlink(), "policy_optimizer.safetensors"),
    ],
)
def test_a_broken_checkpoint_is_named(spoil: Any, message: str, tmp_path: Path) -> None:
    learner = make("adamw", decoder())
    asyncio.run(learner.save(tmp_path))
    spoil(tmp_path)
    with pytest.raises(DataError, match=message):
        asyncio.run(learner.load(tmp_path))


def test_the_checkpoint_of_another_learner_is_refused(tmp_path: Path) -> None:
    learner = make("adamw", decoder())
    update(learner, batch(0))
    asyncio.run(learner.save(tmp_path))
    with pytest.raises(DataError, match="another model"):
        asyncio.run(make("adamw", decoder(num_hidden_layers=3)).load(tmp_path))
    with pytest.raises(DataError, match="fit no parameter"):
        asyncio.run(make("muon", decoder()).load(tmp_path))
    with pytest.raises(DataError, match=r"critic.*cannot be read"):
        asyncio.run(make("critic", decoder()).load(tmp_path))
    other = TorchLearner(decoder(), LearnerConfig(), algorithm("grpo"), seed=6)
    with pytest.raises(DataError, match="seed"):
        asyncio.run(other.load(tmp_path))
