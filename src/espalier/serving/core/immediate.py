"""Schedulers that hold nothing: a policy names the rank, and the request goes."""

from __future__ import annotations

from collections import deque

from espalier.serving.core.prefix import PrefixIndex
from espalier.serving.core.scheduler import Policy, Scheduler
from espalier.serving.core.state import Pool
from espalier.serving.core.types import PRIORITY, Decision, Reason, Request


class Immediate(Scheduler):
    """Places every request when it arrives; only where no instance is alive do requests wait."""

    def __init__(self, pool: Pool, policy: Policy, prefix: PrefixIndex | None = None) -> None:
        super().__init__(pool, prefix)
        self.policy = policy
        self._new: deque[Request] = deque()

    def on_arrival(self, request: Request, now: float) -> None:
        """Remember it for the next poll."""
        self._new.append(request)

    def on_cancel(self, request: Request, now: float) -> None:
        """Forget it."""
        if request in self._new:
            self._new.remove(request)

    def poll(self, now: float) -> tuple[list[Decision], float | None]:
        """All that came in."""
        if not self._new or not self.pool.ready:
            return [], None
        order = sorted(self._new, key=PRIORITY, reverse=True) if len(self._new) > 1 else self._new
        placed = [self._placed(request) for request in order]
        self._new.clear()
        return placed, None

    @property
    def held(self) -> int:
        """Requests that wait for an instance to be alive."""
        return len(self._new)

    def _placed(self, request: Request, reason: Reason = Reason.IMMEDIATE) -> Decision:
        hits = self.hits(request)
        instance, rank = self.policy.choose(self.pool, request, hits)
        cost = request.prompt - hits.get((instance, rank), 0)
        return self.place(Decision(request, instance, rank, cost, reason))
