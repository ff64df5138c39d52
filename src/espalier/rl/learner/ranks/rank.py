"""What each rank does: one command after another, together with the others."""

from __future__ import annotations

from typing import Any, assert_never

import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh

from espalier.core.errors import EspalierError
from espalier.rl.learner.learner import TorchLearner
from espalier.rl.learner.ranks.commands import Build, Command, Examine, Gather, Load, Save, Update, Weights
from espalier.rl.learner.ranks.ranks import ProcessGroup
from espalier.rl.learner.ranks.sharding import fill, gathered, shard


class Rank:
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
                return await self.learner.update(command.units)
            case Gather():
                return self._gather()
            case Examine():
                return await self.learner.probe()
            case Save():
                return await self.learner.save(command.path)
            case Load():
                await self.learner.load(command.path)
                return self.learner.version
            case _:
                assert_never(command)

    def _built(self, build: Build, weights: Weights | None) -> TorchLearner:
        self._learner = None

        def divided(bare: Any, name: str) -> Any:
            if bare is None:
                return None
            own = weights[name] if weights is not None else None
            if self.ranks.size == 1:
                bare.to_empty(device=self.device).load_state_dict(own)
                return bare
            model = shard(bare, self._mesh, self.device)
            fill(model, own)
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

    def _gather(self) -> dict[str, Tensor] | None:
        kept = {}
        for name, tensor in gathered(self.learner.model):
            if self.ranks.rank == 0:
                kept[name] = tensor.cpu()
        return kept if self.ranks.rank == 0 else None
