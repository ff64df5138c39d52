"""What the training loop does now, and who waits for whom, in words."""

from __future__ import annotations

from dataclasses import dataclass

from espalier.core.tracking.activity import Activity
from espalier.core.tracking.live import Live, Work
from espalier.engine.watch import EngineWatch
from espalier.rl.loop.admission import Admission
from espalier.rl.loop.ledger import Ledger
from espalier.rl.rollout.in_flight import InFlight
from espalier.rl.rollout.under_way import UnderWay

LEARNER = {
    "collect": "waits for groups",
    "train": "trains",
    "publish": "publishes weights",
    "evaluate": "waits for an evaluation",
    "save": "writes a checkpoint",
}
"""What the learner does in each part of a step."""
SLOWEST = 5
"""Attempts that are shown."""


@dataclass(frozen=True, slots=True)
class Now:
    """Reads the parts of a loop from another thread; changes nothing."""

    learner: Activity
    admission: Admission
    ledger: Ledger
    in_flight: InFlight
    under_way: UnderWay
    engines: EngineWatch

    def __call__(self) -> Live:
        """What is done now. Raises RuntimeError where something changed meanwhile: look again later."""
        running, waiting = len(self.ledger.running), len(self.ledger.waiting)
        most = (self.admission.max_lag + 1) * self.admission.groups_per_step
        work = [
            Work("learner", LEARNER.get(self.learner.doing, ""), self.learner.since),
            Work("admission", self._admission()),
            Work("attempts", self.under_way.summary()),
        ]
        return Live(
            queue=f"groups: running {running}, waiting to be trained {waiting}, at most {most} together",
            work=[one for one in work if one.doing],
            workers=self.engines.look(),
            slowest=self.under_way.slowest(SLOWEST),
        )

    def _admission(self) -> str:
        if self.learner.doing == "evaluate":
            return "waits for the evaluation"
        if self.in_flight.crowded:
            return f"waits for an attempt to end: {self.in_flight.limit} run"
        if self.in_flight.full:
            return "waits for new weights"
        return "" if self.admission.may_start() else "has started the last group"
