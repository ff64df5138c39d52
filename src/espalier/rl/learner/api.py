"""What the loop knows of a learner."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from espalier.engine.api import WeightUpdate
from espalier.rl.trajectory import Group

Metrics = Mapping[str, float]


class Learner(Protocol):
    """Turns groups into gradient steps. `version` counts the updates; tokens tagged v were sampled by version v."""

    @property
    def version(self) -> int:
        """Number of updates done."""
        ...

    async def update(self, groups: list[Group]) -> Metrics:
        """One training step over all rows of `groups` (perhaps several optimizer steps). Version rises by one."""
        ...

    async def publish(self) -> WeightUpdate:
        """The current weights, by Hugging Face parameter name."""
        ...

    async def save(self, path: Path) -> None:
        """Write weights and optimizer state into the folder `path`."""
        ...

    async def load(self, path: Path) -> None:
        """Restore what `save` wrote; the next update is equal to the last bit."""
        ...
