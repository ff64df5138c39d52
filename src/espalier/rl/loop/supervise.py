"""Supervised training on demonstrations: the same learner, fed rows whose weight is on cross entropy."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from espalier.core.run import Run
from espalier.core.tracking.progress import Progress
from espalier.rl.demonstrations import Demonstrations
from espalier.rl.learner.api import Learner
from espalier.rl.loop.checkpoints import Checkpoints, State

Evaluate = Callable[[int], Awaitable[None]]


@dataclass(slots=True)
class Supervision:
    """Trains `steps` steps of `rows` demonstrations; metrics are logged at the step's number.

    A checkpoint is written every `save_every` steps; `evaluate`, where given, is called every `evaluate_every` steps
    and after the last, and may put what it finds into `figures`, which travel in the checkpoints.
    """

    run: Run
    learner: Learner
    demonstrations: Demonstrations
    checkpoints: Checkpoints
    steps: int
    rows: int
    save_every: int
    stage: str
    evaluate: Evaluate | None = None
    evaluate_every: int = 1
    figures: dict[str, float] = field(default_factory=dict)

    async def train(self, progress: Progress, start: int) -> bool:
        """Go on from step `start`; returns whether all steps were done."""
        for done in range(start + 1, self.steps + 1):
            if self.run.stop.requested:
                await self._save(done - 1)
                return False
            metrics = await self._step(done - 1)
            self.run.metrics.log(done, metrics)
            last = done == self.steps
            if self.evaluate and (last or done % self.evaluate_every == 0):
                await self.evaluate(done)
            if last or done % self.save_every == 0:
                await self._save(done)
            progress.update(done, {"loss": metrics["loss/ce"]})
        return True

    async def _step(self, index: int) -> dict[str, float]:
        begun = time.perf_counter()
        batch = self.demonstrations.batch(index * self.rows, self.rows)
        drawn = time.perf_counter()
        metrics = dict(await self.learner.update(batch))
        return metrics | {"time/demonstrate": drawn - begun, "time/train": time.perf_counter() - drawn}

    async def _save(self, done: int) -> None:
        await self.checkpoints.save(done, State(self.stage, done, figures=self.figures), self.learner)
