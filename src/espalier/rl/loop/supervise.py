"""Supervised training on demonstrations: the same learner, with rows whose weight is on cross entropy."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from espalier.core.errors import DataError
from espalier.core.run.run import Run
from espalier.core.tracking.progress import Progress
from espalier.rl.demonstrations import Demonstrations
from espalier.rl.learner.api import Learner
from espalier.rl.loop.checkpoints import Checkpoints, State
from espalier.rl.loop.record.cost import Cost

Evaluate = Callable[[int], Awaitable[None]]

IDLE = 10
"""Consecutive steps without a usable demonstration after which the run ends."""


@dataclass(slots=True)
class Supervision:
    """Trains `steps` steps of `rows` demonstrations; metrics are logged at the step's number.

    Demonstrations that fail are left out and counted as `demonstrations/failed`; a step without any changes nothing.

    A checkpoint is written every `save_every` steps. `evaluate`, if given, is called every `evaluate_every` steps and
    after the last. It may put results into `figures`, which are saved in the checkpoints.
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
    _idle: int = field(default=0, init=False)
    _cost: Cost = field(init=False)

    def __post_init__(self) -> None:
        self._cost = Cost(self.figures)

    async def train(self, progress: Progress, start: int) -> bool:
        """Continue from step `start`; returns whether all steps were done.

        Raises DataError after `IDLE` consecutive steps without a usable demonstration.
        """
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
            progress.update(done, {"loss": metrics["loss/ce"]} if "loss/ce" in metrics else {})
        return True

    async def _step(self, index: int) -> dict[str, float]:
        begun = time.perf_counter()
        self._cost.begin()
        batch = self.demonstrations.batch(index * self.rows, self.rows)
        drawn = time.perf_counter()
        metrics = dict(await self.learner.update(batch)) if batch else {}
        self._idle = 0 if batch else self._idle + 1
        if self._idle == IDLE:
            raise DataError(
                f"none of the demonstrations of {IDLE} steps can be used, see the warnings: "
                "nothing is left to learn from"
            )
        self._cost.add(metrics)
        return metrics | {
            **self._cost.metrics,
            "demonstrations/failed": float(self.rows - len(batch)),
            "time/demonstrate": drawn - begun,
            "time/train": time.perf_counter() - drawn,
        }

    async def _save(self, done: int) -> None:
        await self.checkpoints.save(done, State(self.stage, done, figures=self.figures), self.learner)
