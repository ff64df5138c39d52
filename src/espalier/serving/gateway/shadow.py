"""A simulation of immediate dispatch: the same requests on modelled engines."""

from __future__ import annotations

from collections.abc import Sequence

from espalier.serving.core.safety import Valve
from espalier.serving.core.scheduler import Scheduler
from espalier.serving.core.types import Report, Request
from espalier.serving.model.lockstep import PrefillEngine
from espalier.serving.model.steptime import PrefillTime

NEVER = float("inf")
WEIGHT = 0.05


class Shadow:
    """Runs every request through `scheduler`, which holds nothing, and passes the simulated wait to `valve`.

    The durations of the modelled passes follow the measured ones, scaled by one factor per instance (exponential mean,
    weight 0.05). Real and modelled waits are compared request by request, when both are known. Source: ours.
    """

    def __init__(self, scheduler: Scheduler, ranks: Sequence[int], time: PrefillTime, valve: Valve) -> None:
        self.scheduler, self.valve = scheduler, valve
        self._ranks, self._time = ranks, time
        self.engines = [PrefillEngine(number, time) for number in ranks]
        self._ends = [NEVER] * len(ranks)
        self._came: dict[int, float] = {}
        self._actual: dict[int, float] = {}
        self._expected: dict[int, float] = {}

    def arrived(self, request: Request, now: float) -> None:
        """A request arrived."""
        self._advance(now)
        self._came[request.id] = now
        self.scheduler.on_arrival(request, now)
        self._place(now)

    def answered(self, request: Request, now: float) -> None:
        """The first byte of a request arrived."""
        self._advance(now)
        expected = self._expected.pop(request.id, None)
        came = self._came.get(request.id)
        if expected is not None:
            self.valve.note(now - request.arrival, expected)
        elif came is not None:
            self._actual[request.id] = now - request.arrival

    def forget(self, request: Request, now: float) -> None:
        """A request will not be answered, or not by a stream, so its wait is not compared. A modelled engine computes
        it all the same, like a real one.
        """
        self.scheduler.on_cancel(request, now)
        self._came.pop(request.id, None)
        self._expected.pop(request.id, None)

    def measured(self, instance: int, report: Report) -> None:
        """A real pass was measured."""
        if report.duration is not None and report.largest:
            engine = self.engines[instance]
            engine.slow += WEIGHT * (report.duration / self._time.seconds(report.largest) - engine.slow)

    def lost(self, instance: int, now: float) -> None:
        """An instance was lost. Its requests in the simulation are not compared."""
        self._advance(now)
        self._ends[instance] = NEVER
        self.scheduler.on_lost(instance, now)
        for request in self.engines[instance].kill():
            self._came.pop(request.id, None)
            self._actual.pop(request.id, None)

    def pause(self, instance: int, now: float, paused: bool) -> None:
        """Stop or resume sending requests to an instance."""
        self._advance(now)
        self.scheduler.on_pause(instance, now, paused)
        self._place(now)

    def back(self, instance: int, now: float) -> None:
        """An instance is available again."""
        self._advance(now)
        self.scheduler.on_back(instance, now)
        self._place(now)

    def _advance(self, now: float) -> None:
        while (end := min(self._ends)) <= now:
            instance = self._ends.index(end)
            ended = self.engines[instance].finish()
            for request in ended.done:
                self._done(request, end)
            self.scheduler.on_report(instance, self.engines[instance].report(ended), end)
            self._start(instance, end)

    def _done(self, request: Request, now: float) -> None:
        came = self._came.pop(request.id, None)
        if came is None:
            return
        actual = self._actual.pop(request.id, None)
        if actual is None:
            self._expected[request.id] = now - came
        else:
            self.valve.note(actual, now - came)

    def _place(self, now: float) -> None:
        decisions, _ = self.scheduler.poll(now)
        for decision in decisions:
            self.engines[decision.instance].receive(decision.request, decision.rank, max(decision.cost, 1))
        for instance in {decision.instance for decision in decisions}:
            if self.engines[instance].working is None:
                self._start(instance, now)

    def _start(self, instance: int, now: float) -> None:
        begun = self.engines[instance].start()
        self._ends[instance] = NEVER if begun is None else now + begun.duration
