"""The virtual state: what instances reported last, and every decision that the report cannot know of yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count, repeat
from math import ceil

from espalier.serving.core.types import Place, Report

UNEVEN = 0.25
"""Share of its requests that an instance may decode beyond what would be even."""
WAITING = 4
"""What a waiting request counts in a score, where a running one counts 1: the weight of vLLM's balancer."""


class Row:
    """A number per rank, and its smallest at hand: policies ask for it at every request."""

    __slots__ = ("_least", "ranks", "values")

    def __init__(self, ranks: int) -> None:
        self.ranks = ranks
        self.values = [0] * ranks
        self._least: int | None = 0

    def add(self, rank: int, number: int) -> None:
        """Raise one rank's number; `number` is not negative."""
        if self.values[rank] == self._least:
            self._least = None
        self.values[rank] += number

    def add_all(self, ranks: Iterable[int], numbers: Iterable[int]) -> None:
        """Raise many; a rank may be named again."""
        values = self.values
        for rank, number in zip(ranks, numbers, strict=False):
            values[rank] += number
        self._least = None

    def set(self, values: Sequence[int]) -> None:
        """Replace all."""
        self.values[:] = values
        self._least = None

    def least(self) -> int:
        """The smallest."""
        if self._least is None:
            self._least = min(self.values)
        return self._least


@dataclass(slots=True)
class Instance:
    """One engine: its data-parallel ranks enter every forward pass together.

    backlog: tokens that each rank has yet to prefill. score: 4 * waiting + running requests of each rank. Both with
    decisions that no report covers, which count as waiting. busy: a pass is under way, or begins with what was sent.
    working: whether the last report said so. sent: decisions ever made. free_since: when it was last heard to be idle.
    heard: when it was last heard of. alive: not lost. paused: gets nothing more, and goes on with what it has. open:
    requests of each rank that are not over, where they stay to be decoded.
    """

    ranks: int
    backlog: Row = field(init=False)
    score: Row = field(init=False)
    busy: bool = False
    working: bool = False
    sent: int = 0
    free_since: float = 0.0
    heard: float = 0.0
    alive: bool = True
    paused: bool = False
    open: list[int] = field(init=False)
    unseen: deque[tuple[int, int, int]] = field(default_factory=deque)
    """Decisions that no report covers: their number, rank and cost."""

    def __post_init__(self) -> None:
        self.backlog, self.score, self.open = Row(self.ranks), Row(self.ranks), [0] * self.ranks

    def send(self, rank: int, cost: int) -> None:
        """Count a decision at once."""
        self.sent += 1
        self.backlog.add(rank, cost)
        self.score.add(rank, WAITING)
        self.unseen.append((self.sent, rank, cost))

    def send_all(self, ranks: Sequence[int], costs: Sequence[int]) -> None:
        """Count many decisions at once."""
        self.backlog.add_all(ranks, costs)
        self.score.add_all(ranks, repeat(WAITING))
        self.unseen.extend(zip(count(self.sent + 1), ranks, costs, strict=False))
        self.sent += len(ranks)

    def lose(self) -> None:
        """Whatever it had is gone."""
        self.alive = False
        self._empty()

    def revive(self, now: float) -> None:
        """It is back, with nothing to do."""
        self.alive, self.free_since, self.heard = True, now, now
        self._empty()

    def hear(self, report: Report, now: float) -> None:
        """Replace what was known by `report`, and add what it cannot have seen."""
        self.backlog.set(report.backlog)
        self.score.set([WAITING * wait + run for wait, run in zip(report.waiting, report.running, strict=True)])
        unseen = self.unseen
        while unseen and unseen[0][0] <= report.seen:
            unseen.popleft()
        for _, rank, cost in unseen:
            self.backlog.add(rank, cost)
            self.score.add(rank, WAITING)
        self.working, self.heard = report.busy, now
        self._settle(now)

    def miss(self, number: int, now: float) -> None:
        """Decision `number` never reached it, or its report will not tell: no report needs to cover it any more."""
        for place, (known, rank, cost) in enumerate(self.unseen):
            if known == number:
                del self.unseen[place]
                self.backlog.set([tokens - cost * (k == rank) for k, tokens in enumerate(self.backlog.values)])
                self.score.set([count - WAITING * (k == rank) for k, count in enumerate(self.score.values)])
                self._settle(now)
                return

    def _settle(self, now: float) -> None:
        busy = self.working or bool(self.unseen)
        if self.busy and not busy:
            self.free_since = now
        self.busy = busy

    def _empty(self) -> None:
        self.busy = self.working = False
        for row in (self.backlog, self.score):
            row.set([0] * self.ranks)
        self.unseen.clear()


@dataclass(slots=True)
class Pool:
    """The instances of one kind. chunk: tokens a rank takes in a pass. decodes: whether an instance goes on with the
    requests that it prefills. ready: numbers of those that get work.
    """

    instances: list[Instance]
    chunk: int
    decodes: bool = False
    ready: list[int] = field(init=False)
    _backlogs: list[Row] = field(init=False)
    _scores: list[Row] = field(init=False)

    def __post_init__(self) -> None:
        self._sort()

    @classmethod
    def idle(cls, instances: int, ranks: int, chunk: int) -> Pool:
        """`instances` alike, with nothing to do."""
        return cls.of([ranks] * instances, chunk)

    @classmethod
    def of(cls, ranks: Sequence[int], chunk: int, decodes: bool = False) -> Pool:
        """Instances of so many ranks each, with nothing to do."""
        return cls([Instance(number) for number in ranks], chunk, decodes)

    def lose(self, instance: int) -> None:
        """Take an instance out of the ring; its work is gone."""
        self.instances[instance].lose()
        self._sort()

    def revive(self, instance: int, now: float) -> None:
        """Take an instance back in, empty."""
        self.instances[instance].revive(now)
        self._sort()

    def pause(self, instance: int, paused: bool) -> None:
        """Give an instance nothing more, or work again; what it has stays."""
        self.instances[instance].paused = paused
        self._sort()

    def open(self, instance: int, ranks: Iterable[int]) -> None:
        """Requests were placed on these ranks."""
        if self.decodes:
            for rank in ranks:
                self.instances[instance].open[rank] += 1

    def close(self, instance: int, rank: int) -> None:
        """A request that was placed there is over."""
        if self.decodes:
            self.instances[instance].open[rank] -= 1

    def order(self, instance: int) -> list[int]:
        """The ranks of an instance, those that decode least first."""
        one = self.instances[instance]
        return sorted(range(one.ranks), key=one.open.__getitem__)

    def share(self, instance: int, held: int) -> int:
        """How many of `held` requests an instance should take, so that all that are ready decode about as many.

        What brings it level with the others, give or take UNEVEN of what it decodes, and at least its share of `held`:
        else it would idle while requests wait.
        """
        if not self.decodes:
            return held
        ready = [self.instances[number] for number in self.ready]
        part = self.instances[instance].ranks / sum(one.ranks for one in ready)
        even = part * (held + (1.0 + UNEVEN) * sum(sum(one.open) for one in ready))
        return ceil(max(even - sum(self.instances[instance].open), part * held))

    def least_backlog(self, turn: int) -> Place:
        """The place of the fewest tokens. Of equals the one whose turn it is."""
        return self._least(self._backlogs, turn)

    def least_score(self, turn: int) -> Place:
        """The place of the smallest score. Of equals the one whose turn it is."""
        return self._least(self._scores, turn)

    def _least(self, rows: list[Row], turn: int) -> Place:
        """The first at or after rank (turn div N) mod R of instance turn mod N, round the ring of those ready."""
        lows = [row.least() for row in rows]
        least, n = min(lows), len(rows)
        place = _next(lows, least, turn % n)
        return self.ready[place], _next(rows[place].values, least, turn // n % rows[place].ranks)

    def _sort(self) -> None:
        self.ready = [k for k, instance in enumerate(self.instances) if instance.alive and not instance.paused]
        self._backlogs = [self.instances[number].backlog for number in self.ready]
        self._scores = [self.instances[number].score for number in self.ready]


def _next(values: list[int], value: int, start: int) -> int:
    """The first place of `value` from `start` on, round the ring."""
    try:
        return values.index(value, start)
    except ValueError:
        return values.index(value)
