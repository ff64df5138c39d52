"""The estimated state of an engine, inferred from the requests sent to it and the times of first bytes."""

from __future__ import annotations

from espalier.serving.core.types import Report, Request
from espalier.serving.model.lockstep import Pass, PrefillEngine
from espalier.serving.model.steptime import PrefillTime

WEIGHT, MOST_LATE = 0.2, 0.1
"""Weight of the newest delay in the running mean, and the largest delay as a share of a pass."""


class Mirror:
    """A lock-step model of a real engine. It has no clock: the caller passes in the time.

    The first byte of a request whose prefill the model places in the current pass ends that pass. A pass that completes
    no request gives no sign; it ends when the step-time model predicts. First bytes arrive with a delay, `late`
    seconds. The delay is learned from passes that started an idle engine, because their begin is known. The pass after
    one that ended with a first byte is assumed to have begun that much earlier. Source: state synchronisation by
    inference; ours.
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
        """A request was sent. Call `begin` when the whole batch was sent. signs: the request's first byte is its first
        token.
        """
        self.engine.receive(request, rank, cost)
        if not signs:
            self._gone.add(request.id)

    def begin(self, now: float) -> None:
        """Begin a pass if none is running and there is work."""
        if self.engine.working is None:
            self._start(now)
            self._woken = True

    def first_byte(self, request: Request, now: float) -> list[Report]:
        """A first byte arrived. Returns reports of the passes that must have ended before it."""
        self.heard = now
        reports: list[Report] = []
        while self.engine.working is not None and self._pending(request):
            measured = request.id in self._awaited - self._gone
            reports.append(self._finish(now, measured))
        return reports

    def forget(self, request: Request) -> None:
        """The first byte of a request will not arrive."""
        if self._pending(request):
            self._gone.add(request.id)

    def tick(self, now: float) -> list[Report]:
        """Reports of passes that ended without a sign."""
        reports = []
        while (end := self.silent_end()) is not None and end <= now:
            reports.append(self._finish(end, False))
        return reports

    def silent_end(self) -> float | None:
        """When the current pass ends if no first byte signals it."""
        working = self.engine.working
        if working is None or self._awaited - self._gone:
            return None
        return self.began + working.duration

    def owes_since(self) -> float | None:
        """The time since when a first byte is overdue; None if none is."""
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
