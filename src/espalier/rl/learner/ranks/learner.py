"""A learner of several ranks, as the training loop sees it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from espalier.core.errors import RunError
from espalier.engine.updates import Probe, TensorUpdate
from espalier.lm.decoder import Decoder
from espalier.rl.algorithms.config import Algorithm
from espalier.rl.learner import checkpoint
from espalier.rl.learner.api import Metrics
from espalier.rl.learner.config import LearnerConfig
from espalier.rl.learner.ranks.commands import Examine, Gather, Load, Save, Update, build_of
from espalier.rl.learner.ranks.crew import Crew
from espalier.rl.unit import Unit


class DistributedLearner:
    """Implements `espalier.rl.learner.api.Learner`. Made by `start`.

    `model` is a whole copy of the weights in this process. It is as new as the last `publish`.
    """

    def __init__(self, model: Decoder, crew: Crew) -> None:
        self.model = model
        self._crew = crew
        self._version = 0

    @classmethod
    async def start(
        cls,
        model: Decoder,
        config: LearnerConfig,
        algorithm: Algorithm,
        crew: Crew,
        *,
        temperature: float,
        skip_idle: bool,
        seed: int,
    ) -> DistributedLearner:
        """A learner of the weights of `model`. For the arguments see `TorchLearner`."""
        build, weights = build_of(model, config, algorithm, temperature=temperature, skip_idle=skip_idle, seed=seed)
        await crew.call(build, weights)
        return cls(model, crew)

    @property
    def version(self) -> int:
        """Number of updates done."""
        return self._version

    async def update(self, units: Sequence[Unit]) -> Metrics:
        """See `Learner`."""
        metrics: Metrics = await self._crew.call(Update(units))
        self._version += 1
        return metrics

    @torch.no_grad()
    async def publish(self) -> TensorUpdate:
        """See `Learner`. The tensors are those of `model`."""
        own = self.model.state_dict()
        for name, tensor in (await self._crew.call(Gather())).items():
            own[name].copy_(tensor)
        return TensorUpdate(self._version, checkpoint.weights(self.model, frozen=True))

    async def probe(self) -> Probe:
        """See `Learner`."""
        probe: Probe = await self._crew.call(Examine())
        return probe

    async def save(self, path: Path) -> None:
        """See `Learner`. Every rank writes its part. Raises RunError if this process does not see what they wrote."""
        await self._crew.call(Save(path.absolute()))
        if not (path / checkpoint.STATE).is_file():
            raise RunError(
                f"{path}: the learner's ranks wrote the checkpoint where this process does not see it: put the run "
                "folder on a disk that all machines share, under the same path"
            )

    async def load(self, path: Path) -> None:
        """See `Learner`. The checkpoint may be of any number of ranks."""
        self._version = await self._crew.call(Load(path.absolute()))
