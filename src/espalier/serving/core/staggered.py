"""Staggered Batch Scheduling: hold requests until an instance's turn, then give it a whole, level batch."""

from __future__ import annotations

from espalier.serving.core.allocation import water_fill
from espalier.serving.core.interval import Interval
from espalier.serving.core.prefix import PrefixIndex
from espalier.serving.core.scheduler import Scheduler
from espalier.serving.core.state import Pool
from espalier.serving.core.types import Decision, Reason, Report, Request


class Staggered(Scheduler):
    """Requests wait here, where they can still be placed well, instead of in an engine, where they cannot.

    An idle instance gets a batch when the interval since the last batch has passed, at once where all are idle. An
    instance that goes on with long prompts is refilled without waiting, and the interval begins anew: otherwise refills
    drain the line between turns and instances fall into step. A busy one gets nothing. Requests left from an earlier
    batch go first, in order of arrival (longest first would starve them); new ones longest first.

    ageing: intervals after which a request is placed in its instance's batch even without room; 0 for never. Under high
    load everything ages, all of it is placed at once and waits in the engine instead: what holding was to avoid.
    Source: Staggered Batch Scheduling (arXiv 2512.16134); idle, refill and ageing rules are ours.
    """

    def __init__(
        self, pool: Pool, *, interval: Interval | None = None, ageing: float = 0.0, prefix: PrefixIndex | None = None
    ) -> None:
        super().__init__(pool, prefix)
        self.interval = interval or Interval()
        self.ageing = ageing
        self._carried: list[Request] = []
        self._new: list[Request] = []
        self._last = float("-inf")
        self._refill: set[int] = set()

    def on_arrival(self, request: Request, now: float) -> None:
        """Hold it."""
        self._new.append(request)

    def on_cancel(self, request: Request, now: float) -> None:
        """Let it go."""
        for held in (self._carried, self._new):
            if request in held:
                held.remove(request)

    def on_report(self, instance: int, report: Report, now: float) -> None:
        """Learn the duration of a pass; note whether the instance goes on at once."""
        super().on_report(instance, report, now)
        if report.duration is not None:
            self.interval.hear(report.duration)
            if report.busy:
                self._refill.add(instance)

    def on_lost(self, instance: int, now: float) -> None:
        """No refill for the dead."""
        super().on_lost(instance, now)
        self._refill.discard(instance)

    @property
    def held(self) -> int:
        """Requests not placed yet."""
        return len(self._carried) + len(self._new)

    def poll(self, now: float) -> tuple[list[Decision], float | None]:
        """Batches for the instances whose turn it is."""
        decisions: list[Decision] = []
        for number in sorted(self._refill):
            decisions += self._batch(number, now, Reason.REFILL)
        self._refill.clear()
        while self.held:
            idle = [number for number in self.pool.ready if not self.pool.instances[number].busy]
            if not idle:
                return decisions, None
            turn = self._last + self.interval.seconds(len(self.pool.ready))
            all_idle = len(idle) == len(self.pool.ready)
            if turn > now and not all_idle:
                return decisions, turn
            first = min(idle, key=lambda number: self.pool.instances[number].free_since)
            batch = self._batch(first, now, Reason.ALL_IDLE if all_idle else Reason.STAGGERED)
            if not batch:
                return decisions, None
            decisions += batch
        return decisions, None

    def _order(self) -> list[Request]:
        """All that is held, the first to be placed first."""
        return self._carried + sorted(self._new, key=_longest_first)

    def _may_split(self) -> bool:
        """Whether a rank with any room takes a prompt that does not fit it."""
        return True

    def _batch(self, number: int, now: float, reason: Reason) -> list[Decision]:
        if not self.held:
            return []
        instance = self.pool.instances[number]
        requests, split = self._order(), self._may_split()
        hits = {request.id: self._here(request, number) for request in requests} if self.prefix is not None else None
        old = self._aged(requests, now)
        placed, self._carried = water_fill(requests, instance.backlog.values, self.pool.chunk, hits, old, split=split)
        self._new = []
        if placed:
            instance.busy = True
            self._last = now
        return [
            self.place(Decision(request, number, rank, cost, Reason.AGED if request.id in old else reason))
            for request, rank, cost in placed
        ]

    def _aged(self, requests: list[Request], now: float) -> set[int]:
        if not self.ageing:
            return set()
        limit = now - self.ageing * self.interval.seconds(len(self.pool.ready))
        return {request.id for request in requests if request.arrival < limit}

    def _here(self, request: Request, number: int) -> dict[int, int]:
        return {rank: tokens for (instance, rank), tokens in self.hits(request).items() if instance == number}


def _longest_first(request: Request) -> tuple[int, int]:
    return -request.priority, -request.prompt
