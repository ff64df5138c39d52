"""The safety valve: holding that does not pay is given up for a while."""

from __future__ import annotations

from dataclasses import dataclass

from espalier.serving.core.policies.least_tokens import LeastTokens
from espalier.serving.core.scheduler import Scheduler
from espalier.serving.core.types import PRIORITY, Decision, Reason, Report, Request


@dataclass(slots=True)
class Valve:
    """Opens after `patience` windows in a row whose mean time to first token was worse than what immediate dispatch was
    expected to give, by more than `margin`; closes again after `rest` windows, to try anew. window: requests. Ours.
    """

    window: int = 200
    patience: int = 3
    margin: float = 0.05
    rest: int = 10
    open: bool = False
    opened: int = 0
    _count: int = 0
    _actual: float = 0.0
    _expected: float = 0.0
    _bad: int = 0
    _rested: int = 0

    def note(self, actual: float, expected: float) -> None:
        """A request had its first token after `actual` seconds; at once it was expected to take `expected`."""
        self._count += 1
        self._actual += actual
        self._expected += expected
        if self._count < self.window:
            return
        worse = self._actual > (1.0 + self.margin) * self._expected
        self._count, self._actual, self._expected = 0, 0.0, 0.0
        if self.open:
            self._rested += 1
            self.open = self._rested < self.rest
            self._bad = 0
            return
        self._bad = self._bad + 1 if worse else 0
        if self._bad >= self.patience:
            self.open, self._rested = True, 0
            self.opened += 1


class Guarded(Scheduler):
    """A scheduler that holds, behind a valve: while that is open, all goes at once to the rank with fewest tokens."""

    def __init__(self, inner: Scheduler, valve: Valve) -> None:
        super().__init__(inner.pool, inner.prefix)
        self.inner, self.valve = inner, valve
        self._policy = LeastTokens()
        self._held: dict[int, Request] = {}

    def on_arrival(self, request: Request, now: float) -> None:
        """Hand on."""
        self._held[request.id] = request
        self.inner.on_arrival(request, now)

    def on_report(self, instance: int, report: Report, now: float) -> None:
        """Hand on."""
        self.inner.on_report(instance, report, now)

    def on_cancel(self, request: Request, now: float) -> None:
        """Hand on."""
        if self._held.pop(request.id, None) is not None:
            self.inner.on_cancel(request, now)

    def on_lost(self, instance: int, now: float) -> None:
        """Hand on."""
        self.inner.on_lost(instance, now)

    def on_back(self, instance: int, now: float) -> None:
        """Hand on."""
        self.inner.on_back(instance, now)

    def on_pause(self, instance: int, now: float, paused: bool = True) -> None:
        """Hand on."""
        self.inner.on_pause(instance, now, paused)

    def poll(self, now: float) -> tuple[list[Decision], float | None]:
        """What the scheduler behind it says; with the valve open, everything."""
        if self.valve.open:
            decisions = self._all(now)
            self.inner.poll(now)  # holds nothing now, and forgets whom it wanted to refill
            return decisions, None
        decisions, wake = self.inner.poll(now)
        for decision in decisions:
            self._held.pop(decision.request.id, None)
        return decisions, wake

    @property
    def held(self) -> int:
        """Requests not placed yet."""
        return len(self._held)

    def _all(self, now: float) -> list[Decision]:
        decisions = []
        for request in sorted(self._held.values(), key=PRIORITY, reverse=True) if self.pool.ready else ():
            del self._held[request.id]
            self.inner.on_cancel(request, now)
            hits = self.hits(request)
            instance, rank = self._policy.choose(self.pool, request, hits)
            self.pool.instances[instance].busy = True
            cost = request.prompt - hits.get((instance, rank), 0)
            decisions.append(self.place(Decision(request, instance, rank, cost, Reason.FALLBACK)))
        return decisions
