"""The learner protocol that the training loop uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from espalier.engine.updates import Probe, TensorUpdate
from espalier.rl.unit import Unit

Metrics = Mapping[str, float]


class Learner(Protocol):
    """Turns units of rows into gradient steps.

    `version` counts the updates; tokens tagged v were sampled by version v.
    """

    @property
    def version(self) -> int:
        """Number of updates done."""
        ...

    async def update(self, units: Sequence[Unit]) -> Metrics:
        """One training step over all rows of `units` (it may have several optimizer steps). Increases `version` by
        one.
        """
        ...

    async def publish(self) -> TensorUpdate:
        """The current weights, by Hugging Face parameter name."""
        ...

    async def probe(self) -> Probe:
        """What the current weights say about a few fixed sequences, by which an engine can be checked."""
        ...

    async def save(self, path: Path) -> None:
        """Write weights and optimizer state into the folder `path`."""
        ...

    async def load(self, path: Path) -> None:
        """Restore what `save` wrote. The next update is then bit-identical."""
        ...
