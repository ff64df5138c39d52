"""What an engine is doing, inferred from what it was sent and when its first bytes came."""

from __future__ import annotations

from espalier.serving.core.types import Report, Request
from espalier.serving.model.lockstep import Pass, PrefillEngine
from espalier.serving.model.steptime import PrefillTime

WEIGHT, MOST_LATE = 0.2, 0.1
"""Of the newest lateness in the mean, and the most of it as a share of the pass."""


class Mirror:
    """A lock-step model beside a real engine. No clock: the caller says what time it is.

    The first byte of a request whose prefill the model has in the current pass ends that pass. A pass that completes no
    request gives no sign; it ends when the step-time model says so. First bytes take a while to get here: `late`
    seconds, learned from passes that woke an idle engine, whose beginning is known; the pass after one that ended with
    a first byte began so much earlier. Source: state synchronisation by inference; ours.
    """

    def __init__(self, ranks: int, time: PrefillTime) -> None:
        self._ranks, self._time = ranks, time
        self.late = 0.0
        self.clear()

    def clear(self) -> None:
        """The engine is empty."""
        self.engine = PrefillEngine(self._ranks, self._time)
        self.began = 0.0
        self.heard = 0.0
        self._woken = False
        self._awaited: set[int] = set()
        self._gone: set[int] = set()

    def receive(self, request: Request, rank: int, cost: int, *, signs: bool = True) -> None:
        """Something was sent; `begin` follows once all of a batch was. signs: its first byte is its first token."""
        self.engine.receive(request, rank, cost)
        if not signs:
            self._gone.add(request.id)

    def begin(self, now: float) -> None:
        """Begin a pass if none is under way and there is work."""
        if self.engine.working is None:
            self._start(now)
            self._woken = True

    def first_byte(self, request: Request, now: float) -> list[Report]:
        """Reports of the passes that must have ended for this byte to come."""
        self.heard = now
        reports: list[Report] = []
        while self.engine.working is not None and self._pending(request):
            measured = request.id in self._awaited - self._gone
            reports.append(self._finish(now, measured))
        return reports

    def forget(self, request: Request) -> None:
        """Its first byte will not come."""
        if self._pending(request):
            self._gone.add(request.id)

    def tick(self, now: float) -> list[Report]:
        """Reports of passes that end without a sign."""
        reports = []
        while (end := self.silent_end()) is not None and end <= now:
            reports.append(self._finish(end, False))
        return reports

    def silent_end(self) -> float | None:
        """When the current pass ends, if nothing will tell."""
        working = self.engine.working
        if working is None or self._awaited - self._gone:
            return None
        return self.began + working.duration

    def owes_since(self) -> float | None:
        """Since when a byte is due that has not come; None where none is."""
        if self.engine.working is None or not self._awaited - self._gone:
            return None
        return self.began

    def _pending(self, request: Request) -> bool:
        """Whether the model has not computed the request's prompt yet."""
        return request.id in self._awaited or any(request in queue for queue in self.engine.queues)

    def _finish(self, now: float, measured: bool) -> Report:
        ended = self.engine.finish()
        self._gone -= self._awaited
        if measured and self._woken:
            late = min(max(now - self.began - ended.duration, 0.0), MOST_LATE * ended.duration)
            self.late += WEIGHT * (late - self.late)
        end = max(now - self.late, self.began) if measured else now
        seconds = now - self.began if self._woken else end - self.began
        self._start(end)
        self._woken = False
        report = self.engine.report(Pass(seconds, ended.largest, ended.tokens, ended.begun, ended.done))
        return report if measured else report._replace(duration=None)

    def _start(self, now: float) -> None:
        begun = self.engine.start()
        self.began = now
        self._awaited = {request.id for request in begun.done} if begun is not None else set()
