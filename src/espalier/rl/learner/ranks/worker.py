"""What each rank does: one command after another, the same on all ranks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh

from espalier.core.errors import EspalierError
from espalier.engine.updates import Probe
from espalier.lm.decoder import Decoder
from espalier.rl.algorithms.config import Algorithm
from espalier.rl.learner.api import Metrics
from espalier.rl.learner.config import LearnerConfig
from espalier.rl.learner.critic import Critic
from espalier.rl.learner.learner import TorchLearner
from espalier.rl.learner.precision import in_bf16
from espalier.rl.learner.ranks.ranks import ProcessGroup
from espalier.rl.learner.ranks.sharding import fill, gathered, shard, skeleton
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


class Worker:
    """A rank of the default process group. device: of its part of the weights."""

    def __init__(self, device: torch.device) -> None:
        self.ranks = ProcessGroup()
        self.device = device
        self._mesh = init_device_mesh(device.type, (self.ranks.size,))
        self._learner: TorchLearner | None = None

    @property
    def learner(self) -> TorchLearner:
        """The learner, which has been built."""
        if self._learner is None:
            raise EspalierError("a learner's process was given work before it was given a model")
        return self._learner

    async def do(self, command: Command, weights: Weights | None = None) -> Any:
        """Do it together with the other ranks. `weights`: for rank 0, when a learner is built."""
        match command:
            case Build():
                self._learner = self._built(command, weights)
                return None
            case Update():
                return await self._update(command)
            case Gather():
                return self._gather()
            case Examine():
                return await self._probe()
            case Save():
                return await self.learner.save(command.path)
            case Load():
                await self.learner.load(command.path)
                return self.learner.version
            case _:
                assert_never(command)

    def _built(self, build: Build, weights: Weights | None) -> TorchLearner:
        self._learner = None
        bf16 = in_bf16(build.config.precision, self.device)

        def divided(bare: Any, name: str) -> Any:
            if bare is None:
                return None
            model = shard(bare, self._mesh, self.device, bf16=bf16)
            fill(model, weights[name] if weights is not None else None)
            return model

        return TorchLearner(
            divided(build.policy, "policy"),
            build.config,
            build.algorithm,
            critic=divided(build.critic, "critic"),
            reference=divided(build.reference, "policy"),
            temperature=build.temperature,
            skip_idle=build.skip_idle,
            seed=build.seed,
            ranks=self.ranks,
        )

    async def _update(self, command: Update) -> Metrics:
        return await self.learner.update(command.units)

    async def _probe(self) -> Probe:
        return await self.learner.probe()

    def _gather(self) -> dict[str, Tensor] | None:
        kept = {}
        for name, tensor in gathered(self.learner.model):
            if self.ranks.rank == 0:
                kept[name] = tensor.cpu()
        return kept if self.ranks.rank == 0 else None
