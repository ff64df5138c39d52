"""Publishing: the learner's weights to the engine, by a channel."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from espalier.engine.api import Engine
from espalier.engine.channels.api import Channel
from espalier.rl.learner.api import Learner


@dataclass(frozen=True, slots=True)
class Publisher:
    """Gives the learner's weights to the engine.

    pause: what happens to completions that are being sampled (see `Engine.pause`). tolerance: of the check that the
    engine serves the weights; None for an engine that shares this process, where nothing can be lost on the way.
    """

    engine: Engine
    learner: Learner
    channel: Channel
    pause: Literal["abort", "keep"] = "keep"
    tolerance: float | None = None

    async def __call__(self) -> None:
        """Publish the current weights. Returns when every engine serves them."""
        update = await self.learner.publish()
        if self.tolerance is not None:
            probe = await self.learner.probe()
            update = replace(update, probe=replace(probe, tolerance=self.tolerance))
        await self.engine.publish(self.channel.send(update), self.pause)
