"""Tiny decoders, rows to train them on, and gradients to compare."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from espalier.lm.config import DecoderConfig
from espalier.lm.decoder import Decoder
from espalier.rl.learner.learner import TorchLearner
from espalier.rl.trajectory import Group, Trajectory
from espalier.rl.unit import Unit

VOCABULARY = 23


def decoder(seed: int = 0, family: str = "qwen3", **changes: Any) -> Decoder:
    """A decoder far from uniform."""
    shape: dict[str, Any] = {
        "family": family,
        "vocab_size": VOCABULARY,
        "hidden_size": 24,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 128,
        "tie_word_embeddings": family in ("llama", "qwen3"),
    }
    if family == "glm4_moe":
        shape |= {"moe": {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}}
    model = Decoder(DecoderConfig(**{**shape, **changes}))
    model.reset(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.mul_(6.0)
    return model


def rollouts(seed: int = 0, groups: int = 3, members: int = 4, version: int = 0) -> list[Group]:
    """Random rows of one or two turns with random log-probs and rewards."""
    random = np.random.default_rng(seed)
    return [[_rollout(random, g, m, version) for m in range(members)] for g in range(groups)]


def _rollout(random: np.random.Generator, group: int, member: int, version: int) -> Trajectory:
    row = Trajectory("task", f"key {group}", group, member)
    for _ in range(int(random.integers(1, 3))):
        row.observe(random.integers(0, VOCABULARY, random.integers(1, 5)).tolist())
        length = int(random.integers(1, 9))
        logprobs = random.uniform(-4.0, -1.0, length).tolist()
        row.sample(random.integers(0, VOCABULARY, length).tolist(), logprobs, [version] * length)
    row.reward = float(random.integers(0, 2)) + 0.1 * member
    return row


def demonstrations(seed: int = 0, rows: int = 6) -> list[Group]:
    """Rows for cross entropy on all but the prompt, each a group of its own."""
    result = []
    for row in (row for group in rollouts(seed, rows, 1) for row in group):
        shown = Trajectory("demonstration", row.key)
        shown.observe(row.tokens)
        shown.weights = {"ce": [float(sampled) for sampled in row.mask]}
        result.append([shown])
    return result


def update(learner: TorchLearner, groups: list[Group]) -> dict[str, float]:
    """One update."""
    return dict(asyncio.run(learner.update([Unit(rows) for rows in groups])))


def gradients(learner: TorchLearner, groups: list[Group]) -> tuple[dict[str, Tensor], dict[str, float]]:
    """Gradients of the policy's trained weights in one update, summed over micro-batches, and its metrics."""
    trained = {name: p for name, p in learner.model.named_parameters() if p.requires_grad}
    total = {name: torch.zeros_like(p) for name, p in trained.items()}

    def add(name: str, gradient: Tensor) -> None:
        total[name] += gradient

    hooks = [p.register_hook(partial(add, name)) for name, p in trained.items()]
    metrics = update(learner, groups)
    for hook in hooks:
        hook.remove()
    return total, metrics


def assert_close(one: Mapping[str, Tensor], other: Mapping[str, Tensor], tolerance: float) -> None:
    """Largest difference is below `tolerance` times the largest entry, over all tensors together."""
    assert one.keys() == other.keys()
    size = max(float(tensor.abs().max()) for tensor in other.values())
    gap = {name: float((one[name].double() - other[name].double()).abs().max()) / size for name in other}
    worst = max(gap, key=lambda name: gap[name])
    assert gap[worst] <= tolerance, f"{worst} differs by {gap[worst]:.1e} of the largest entry"
