"""The commands that the ranks of a learner are given, the same to all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from espalier.lm.decoder import Decoder
from espalier.rl.algorithms.config import Algorithm
from espalier.rl.learner.config import LearnerConfig
from espalier.rl.learner.critic import Critic
from espalier.rl.learner.ranks.sharding import skeleton
from espalier.rl.unit import Unit

Weights = Mapping[str, Mapping[str, Tensor]]
"""Of each model by its name, the weights by theirs."""


@dataclass(frozen=True, slots=True)
class Build:
    """Make a learner of models without memory, whose weights rank 0 is given."""

    policy: Decoder
    critic: Critic | None
    reference: Decoder | None
    config: LearnerConfig
    algorithm: Algorithm
    temperature: float
    skip_idle: bool
    seed: int


@dataclass(frozen=True, slots=True)
class Update:
    """One training step. The answer is its metrics."""

    units: Sequence[Unit]


@dataclass(frozen=True, slots=True)
class Gather:
    """Put the policy's weights together. The answer of rank 0 are its tensors by name, on the CPU."""


@dataclass(frozen=True, slots=True)
class Examine:
    """Make a probe, which is the answer."""


@dataclass(frozen=True, slots=True)
class Save:
    """Write a checkpoint into a folder that all ranks see."""

    path: Path


@dataclass(frozen=True, slots=True)
class Load:
    """Read a checkpoint. The answer is its version."""

    path: Path


Command = Build | Update | Gather | Examine | Save | Load


def build_of(
    model: Decoder, config: LearnerConfig, algorithm: Algorithm, *, temperature: float, skip_idle: bool, seed: int
) -> tuple[Build, Weights]:
    """The command that makes a learner of `model`, and the weights for rank 0."""
    critic = Critic.beside(model) if config.critic is not None else None
    anchored = config.reference != "none"
    weights: dict[str, Mapping[str, Tensor]] = {"policy": model.state_dict()}
    if critic is not None:
        weights["critic"] = critic.state_dict()
    build = Build(
        skeleton(model),
        skeleton(critic) if critic is not None else None,
        skeleton(model).requires_grad_(False) if anchored else None,
        config,
        algorithm,
        temperature,
        skip_idle,
        seed,
    )
    return build, weights
