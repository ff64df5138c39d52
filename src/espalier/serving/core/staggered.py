"""Staggered Batch Scheduling: hold requests until an instance's turn, then give it a whole, level batch."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from operator import attrgetter

from espalier.serving.core.ahead import NEVER, Ahead
from espalier.serving.core.allocation import water_fill
from espalier.serving.core.interval import Interval
from espalier.serving.core.prefix import PrefixIndex
from espalier.serving.core.scheduler import Scheduler
from espalier.serving.core.state import Pool
from espalier.serving.core.types import PRIORITY, Decision, Placed, Reason, Report, Request

PROMPT = attrgetter("prompt")


class Staggered(Scheduler):
    """Requests wait here, where they can still be placed well, instead of in an engine, where they cannot.

    An idle instance gets a batch when the interval since the last batch has passed, at once where all are idle. An
    instance that goes on with long prompts is refilled without waiting, and the interval begins anew: otherwise refills
    drain the line between turns and instances fall into step. A busy one gets nothing, unless it begins its passes
    without waiting: then it counts as idle, or as going on, from just before its pass is expected to end. Requests left
    from an earlier batch go first, in order of arrival (longest first would starve them); new ones longest first. Where
    instances decode too, those that decode more take less (`Pool.share`).

    ageing: intervals after which a request is placed in its instance's batch even without room; 0 for never. Under high
    load everything ages, all of it is placed at once and waits in the engine instead: what holding was to avoid.
    Source: Staggered Batch Scheduling (arXiv 2512.16134); idle, refill, forecast and ageing rules are ours.
    """

    def __init__(
        self, pool: Pool, *, interval: Interval | None = None, ageing: float = 0.0, prefix: PrefixIndex | None = None
    ) -> None:
        super().__init__(pool, prefix)
        self.interval = interval or Interval()
        self.ageing = ageing
        self._carried: list[Request] = []
        self._new: list[Request] = []
        self._tokens = 0
        self._ranked = False
        self._last = float("-inf")
        self._refill: set[int] = set()
        self.ahead = Ahead(pool.chunk)

    def on_arrival(self, request: Request, now: float) -> None:
        """Hold it."""
        self._new.append(request)
        self._tokens += request.prompt
        self._ranked = self._ranked or request.priority != 0

    def on_cancel(self, request: Request, now: float) -> None:
        """Let it go."""
        for held in (self._carried, self._new):
            if request in held:
                held.remove(request)
                self._tokens -= request.prompt

    def on_report(self, instance: int, report: Report, now: float) -> None:
        """Learn the duration of a pass; note whether the instance goes on at once."""
        super().on_report(instance, report, now)
        if report.duration is None or not self.pool.instances[instance].alive:
            return
        self.interval.hear(report.duration)
        self.ahead.hear(instance, report.largest, report.duration, report.begun, now)
        if report.busy and not report.begun:
            self._refill.add(instance)

    def on_lost(self, instance: int, now: float) -> None:
        """No refill for the dead."""
        super().on_lost(instance, now)
        self._refill.discard(instance)
        self.ahead.forget(instance)

    @property
    def held(self) -> int:
        """Requests not placed yet."""
        return len(self._carried) + len(self._new)

    def poll(self, now: float) -> tuple[list[Decision], float | None]:
        """Batches for the instances whose turn it is."""
        decisions: list[Decision] = []
        wakes = self._expect(now) if self.ahead.on and self.held else []
        for number in sorted(self._refill.intersection(self.pool.ready)):
            decisions += self._batch(number, now, Reason.REFILL)
        self._refill.clear()
        ready = self.pool.ready
        while self.held:
            free = [number for number in ready if not self.pool.instances[number].busy]
            all_idle = len(free) == len(ready)
            if self.ahead.on:
                free += [number for number in ready if self._soon_idle(number, now)]
            if not free:
                break
            turn = self._last + self.interval.seconds(len(ready))
            if turn > now and not all_idle:
                wakes.append(turn)
                break
            first = min(free, key=self._before)
            batch = self._batch(first, now, Reason.ALL_IDLE if all_idle else Reason.STAGGERED)
            if not batch:
                break
            decisions += batch
        return decisions, min(wakes, default=None)

    def _expect(self, now: float) -> list[float]:
        """When the next passes are expected to end, less the lead; those that go on and are in time are refilled."""
        wakes = []
        for number in self.pool.ready:
            instance = self.pool.instances[number]
            start, end = self.ahead.window(number)
            if not instance.busy:
                continue
            if start > now:
                wakes.append(start)
            elif now <= end and any(instance.backlog.values):
                self._refill.add(number)
        return [wake for wake in wakes if wake < NEVER]

    def _soon_idle(self, number: int, now: float) -> bool:
        instance = self.pool.instances[number]
        return instance.busy and self.ahead.window(number)[0] <= now and not any(instance.backlog.values)

    def _before(self, number: int) -> tuple[float, float]:
        """What free instances are sorted by: those that decode least, then those that have been free the longest."""
        instance = self.pool.instances[number]
        return sum(instance.open) / instance.ranks, instance.free_since

    def _share(self, number: int, requests: list[Request]) -> list[Request]:
        """Those of the requests held that one instance takes: short and long ones, and the oldest."""
        held, share = len(requests), self.pool.share(number, len(requests))
        return requests if share >= held else [requests[k * held // share] for k in range(share)]

    def _order(self, split: bool) -> list[Request]:
        """All that is held, the first to be placed first."""
        return self._by_priority(self._carried + sorted(self._new, key=PROMPT, reverse=True))

    def _by_priority(self, requests: list[Request]) -> list[Request]:
        return sorted(requests, key=PRIORITY, reverse=True) if self._ranked else requests

    def _may_split(self) -> bool:
        """Whether a rank with any room takes a prompt that does not fit it."""
        return True

    def _batch(self, number: int, now: float, reason: Reason) -> list[Decision]:
        if not self.held:
            return []
        split = self._may_split()
        requests = self._order(split)
        some = self._share(number, requests)
        old = self._aged(some, now)
        placed, left = self._fill(number, some, old, split)
        self._new, self._carried = [], left if some is requests else _without(requests, placed)
        if not placed:
            return []
        self._last = now
        self._tokens -= sum(request.prompt for request, _, _ in placed)
        reasons = [Reason.AGED if request.id in old else reason for request, _, _ in placed] if old else repeat(reason)
        decisions = self.place_all(number, placed, reasons)
        self._sent(number, now)
        return decisions

    def _fill(
        self, number: int, requests: list[Request], old: set[int], split: bool
    ) -> tuple[list[Placed], list[Request]]:
        """Water filling; of ranks that are equally full the one that decodes least is filled first."""
        backlog, chunk = self.pool.instances[number].backlog.values, self.pool.chunk
        hits = {one.id: self._here(one, number) for one in requests} if self.prefix is not None else {}
        if not self.pool.decodes:
            return water_fill(requests, backlog, chunk, hits, old, split=split)
        order = self.pool.order(number)
        places = {rank: place for place, rank in enumerate(order)}
        there = {name: {places[rank]: tokens for rank, tokens in cached.items()} for name, cached in hits.items()}
        placed, left = water_fill(requests, [backlog[rank] for rank in order], chunk, there, old, split=split)
        return [(request, order[place], cost) for request, place, cost in placed], left

    def _sent(self, number: int, now: float) -> None:
        instance, chunk = self.pool.instances[number], self.pool.chunk
        tokens = instance.backlog.values
        self.ahead.sent(number, min(max(tokens), chunk), not instance.busy, now)
        instance.busy = True
        if self.ahead.on:
            instance.backlog.set([max(count - chunk, 0) for count in tokens])

    def _aged(self, requests: list[Request], now: float) -> set[int]:
        if not self.ageing:
            return set()
        limit = now - self.ageing * self.interval.seconds(len(self.pool.ready))
        return {request.id for request in requests if request.arrival < limit}

    def _here(self, request: Request, number: int) -> dict[int, int]:
        return {rank: tokens for (instance, rank), tokens in self.hits(request).items() if instance == number}


def _without(requests: Sequence[Request], placed: Sequence[Placed]) -> list[Request]:
    gone = {request.id for request, _, _ in placed}
    return [request for request in requests if request.id not in gone]
