"""Weights are trained in fp32: what bf16 would round away is refused, adapters on a bf16 base move."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import torch
from rl_runs import SMALL, config

from espalier.core.errors import ConfigError
from espalier.lm.build import build
from espalier.lm.config import ModelConfig
from espalier.rl.algorithms.table import algorithm
from espalier.rl.config import SFTConfig, TrainConfig
from espalier.rl.learner.config import LearnerConfig, OptimConfig
from espalier.rl.learner.learner import TorchLearner
from espalier.rl.trajectory import Status, Trajectory
from espalier.rl.unit import Unit


@pytest.mark.parametrize("section", [TrainConfig, SFTConfig])
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_half_precision_weights_are_refused(section: Any, dtype: str) -> None:
    known = {name: value for name, value in SMALL.items() if name in section.model_fields}
    with pytest.raises(ConfigError, match="dtype"):
        section.of(**{**known, "model": {**SMALL["model"], "dtype": dtype}})


def test_adapters_may_stand_on_a_bf16_base_but_a_critic_may_not() -> None:
    model = {**SMALL["model"], "dtype": "bfloat16", "lora": {"rank": 2}}
    assert config(model=model).model.lora is not None
    with pytest.raises(ValueError, match="cannot be trained"):
        config(model=model, algorithm={"name": "ppo"}, learner={"critic": {}})


def test_every_adapter_on_a_bf16_base_moves_at_a_small_learning_rate() -> None:
    language = build(ModelConfig(dtype="bfloat16", lora={"rank": 2}), seed=0, texts=["1+1=2"])
    for name, parameter in language.decoder.named_parameters():
        if name.endswith("lora_B"):
            torch.nn.init.normal_(parameter, std=0.02)
    before = {name: p.detach().clone() for name, p in language.decoder.named_parameters()}
    learner = TorchLearner(language.decoder, LearnerConfig(optim=OptimConfig(lr=1e-6)), algorithm("reinforce"), seed=0)
    row = Trajectory("sums", "1", group=0, status=Status.DONE)
    ids = language.tokenizer.encode("1+1=2")
    row.observe(ids, "assistant")
    row.weights = {"ce": [0.0] + [1.0] * (len(ids) - 1)}
    asyncio.run(learner.update([Unit([row])]))
    for name, parameter in language.decoder.named_parameters():
        moved = (parameter != before[name]).float().mean().item()
        assert moved > 0.9 if "lora_" in name else moved == 0.0, name


def test_adapters_survive_a_folder(tmp_path: Path) -> None:
    language = build(ModelConfig(dtype="bfloat16", lora={"rank": 2}), seed=0, texts=["1+1=2"])
    language.save(tmp_path)
    assert (
        build(ModelConfig(pretrained=str(tmp_path), dtype="bfloat16"), seed=0).decoder.head_weight.dtype
        == torch.bfloat16
    )
