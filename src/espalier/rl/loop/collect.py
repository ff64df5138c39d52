"""Issues and collects groups: starts as many as admission allows, and returns full steps of accepted groups.

Invariant: every started group is trained, filtered, failed or dropped as stale, exactly once (see `Ledger`).

Groups run while the learner trains. A group that ends is judged in the callback of its task, which also starts the
next, so nothing has to poll.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean

from espalier.core.errors import EspalierError
from espalier.rl.curriculum.expansion import Expansion
from espalier.rl.loop.admission import Admission
from espalier.rl.loop.ledger import Ledger
from espalier.rl.loop.source import Source
from espalier.rl.loop.stale import oldest, without_old
from espalier.rl.rollout.api import Player, ScoredGroup
from espalier.rl.rollout.config import Stale
from espalier.rl.rollout.in_flight import InFlight, Usage


class StarvedError(EspalierError):
    """In a whole step's worth of attempts, no group could be used for training."""


@dataclass(slots=True)
class Collected:
    """The groups of one step, the oldest first, and what happened since the step before.

    counts: how the other groups ended (`filtered`, `failed`, `stale`), attempts that were repeated (`repaired`) and
    rows that were dropped (`stale_rows`). usage: of the attempts under way. in_flight: mean lag of the running groups.
    in_queue: mean lag of the finished groups that this step does not train.
    """

    groups: list[ScoredGroup]
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=lambda: Usage(0.0, 0.0))
    in_flight: float = 0.0
    in_queue: float = 0.0


class Collector:
    """Holds the running groups, and the finished groups that are not trained yet.

    `resample` replaces groups with equal rewards (DAPO's dynamic sampling). After `max_rejected` rejections in one
    step, groups with equal rewards are accepted, so that a task which the policy always (or never) solves cannot stop
    the run.

    Without lag, groups are started in rounds, and judged in the order of their index when the round has ended. Which of
    them are replaced then does not depend on timing. With lag, each is judged when it ends.
    """

    def __init__(
        self,
        player: Player,
        source: Source,
        admission: Admission,
        *,
        resample: bool,
        max_rejected: int,
        stale: Stale = "mask",
        fixed_lag: bool = False,
        in_flight: InFlight | None = None,
        ledger: Ledger | None = None,
        waiting: Sequence[ScoredGroup] = (),
        expansion: Expansion | None = None,
    ) -> None:
        """`stale`, `fixed_lag`: see `RolloutConfig`. `in_flight`: what `player` counts its attempts with. `ledger`,
        `waiting`: those of a checkpoint. `expansion`: chooses the groups of a step, without lag.
        """
        self._player = player
        self._source = source
        self._admission = admission
        self._resample = resample
        self._max_rejected = max_rejected
        self._stale = stale
        self._fixed_lag = fixed_lag
        self.ledger = ledger or Ledger()
        self._waiting = {group.index: group for group in waiting}
        self._expansion = expansion
        self._oldest = {group.index: oldest(group, admission.version) for group in waiting}
        """Of each waiting group, the smallest version of a token."""
        self._in_flight = in_flight or InFlight()
        self._in_flight.freed = self._issue
        self._plays: dict[int, asyncio.Task[ScoredGroup]] = {}
        self._ended: dict[int, ScoredGroup] = {}
        self._found = Collected([])
        self._held = self._closed = False
        self._error: BaseException | None = None
        self._news = asyncio.Event()

    @property
    def waiting(self) -> list[ScoredGroup]:
        """The accepted groups that are not trained yet, by index."""
        return [self._waiting[index] for index in sorted(self._waiting)]

    async def collect(self) -> Collected:
        """Wait until the groups of a step are complete. Call it again once `Admission.advance` was called."""
        if self._expansion:
            self._admission.extra = self._expansion.begin(self._admission.missing)
        self._issue()
        while self._error is None:
            if (groups := self._take()) is not None:
                return self._collected(groups)
            if not self._plays:
                raise RuntimeError("no group runs and none may start, but the step is not complete")
            self._news.clear()
            await self._news.wait()
        raise self._error

    def _collected(self, groups: list[ScoredGroup]) -> Collected:
        version = self._admission.version
        found, self._found = self._found, Collected([])
        found.groups, found.usage = groups, self._in_flight.usage()
        found.in_flight = _mean(version - started for started in self.ledger.running.values())
        found.in_queue = _mean(version - self._oldest[index] for index in self._waiting)
        return found

    @contextmanager
    def held(self) -> Iterator[None]:
        """Start no group within; running ones go on."""
        self._held, self._in_flight.full = True, False
        try:
            yield
        finally:
            self._held = False

    async def close(self) -> None:
        """Cancel running groups. Nothing can be collected afterwards."""
        self._held = self._closed = True
        for play in self._plays.values():
            play.cancel()
        await asyncio.gather(*self._plays.values(), return_exceptions=True)
        self._plays.clear()

    def _issue(self) -> None:
        """Start groups while admission allows. The groups of an interrupted run start first."""
        while not self._held and self._admission.may_start() and not self._in_flight.crowded:
            again = self.ledger.interrupted
            index, task = self._source.again(again[0]) if again else self._source.next()
            self._admission.start()
            self.ledger.start(index, self._admission.version)
            play = self._plays[index] = asyncio.create_task(self._player.play(index, task))
            play.add_done_callback(partial(self._done, index))
            if self._in_flight.limit:  # how many places it needs is known once it has begun
                asyncio.get_running_loop().call_soon(self._issue)
                break
        self._in_flight.full = self._admission.full and not self._held

    def _done(self, index: int, play: asyncio.Task[ScoredGroup]) -> None:
        """The callback of a group's task."""
        if self._closed:
            return
        del self._plays[index]
        try:
            if play.cancelled():
                raise RuntimeError(f"group {index} was cancelled from inside: an environment or a reward cancelled it")
            self._ended[index] = play.result()
            if self._admission.max_lag or not self._plays:
                ended = [self._ended.pop(index) for index in sorted(self._ended)]
                for group in ended:
                    self._note(group)
                if self._expansion:
                    ended = self._chosen(ended, self._expansion)
                for group in ended:
                    self._judge(group)
                self._issue()
        except Exception as error:  # collect raises it
            self._error = self._error or error
        self._news.set()

    def _chosen(self, ended: Sequence[ScoredGroup], expansion: Expansion) -> list[ScoredGroup]:
        """Reject the groups of a round that are not kept. Returns the kept groups and the failed ones."""
        missing = self._admission.missing
        kept = {group.index for group in expansion.choose([group for group in ended if group.usable], missing)}
        for group in ended:
            if group.usable and group.index not in kept:
                self._found.counts["surplus" if group.informative else "flat"] += 1
                self._admission.reject()
                self.ledger.end(group.index, "filtered")
        self._admission.extra = expansion.extra(missing - len(kept))
        return [group for group in ended if not group.usable or group.index in kept]

    def _note(self, played: ScoredGroup) -> None:
        """A group has ended, whatever becomes of it."""
        self._source.learn(played)
        self._found.counts["repaired"] += played.repaired
        self._found.errors += played.errors

    def _judge(self, played: ScoredGroup) -> None:
        counts = self._found.counts
        rejected = counts["failed"] + counts["filtered"]
        if not played.usable:
            counts["failed"] += 1
            self._admission.reject()
            self.ledger.end(played.index, "failed")
            if counts["failed"] > self._max_rejected:
                raise StarvedError(
                    f"{counts['failed']} groups failed while collecting one step; the last error: {played.errors[-1]}"
                )
        elif self._resample and not played.informative and rejected < self._max_rejected:
            counts["filtered"] += 1
            self._admission.reject()
            self.ledger.end(played.index, "filtered")
        else:
            self._admission.accept()
            self.ledger.accept(played.index)
            self._waiting[played.index] = played
            self._oldest[played.index] = oldest(played, self._admission.version)

    def _take(self) -> list[ScoredGroup] | None:
        """Remove and return the groups of a step; None if the step is not complete."""
        version, count = self._admission.version, self._admission.groups_per_step
        if self._stale == "drop":
            self._drop(version)
        trained = version * count
        if len(self._waiting) < (self._admission.window - trained if self._fixed_lag else count):
            return None
        groups = self.waiting
        if self._stale == "wait":
            others = (*self.ledger.running, *self.ledger.interrupted)
            if min(others, default=groups[count - 1].index) < groups[count - 1].index:
                return None
        else:
            groups.sort(key=lambda group: self._oldest[group.index])  # stable: by index where equal
        for group in groups[:count]:
            self.ledger.end(group.index, "trained")
            self._forget(group)
        return groups[:count]

    def _forget(self, group: ScoredGroup) -> None:
        del self._waiting[group.index], self._oldest[group.index]

    def _drop(self, version: int) -> None:
        for group in self.waiting:
            if version - self._oldest[group.index] <= self._admission.max_lag:
                continue
            kept = without_old(group, version, self._admission.max_lag)
            self._found.counts["stale_rows"] += len(group.rows) - (len(kept.rows) if kept else 0)
            if kept is None:
                self._found.counts["stale"] += 1
                self._admission.drop()
                self.ledger.end(group.index, "stale")
                self._forget(group)
            else:
                self._waiting[group.index] = kept
                self._oldest[group.index] = oldest(kept, version)
        self._issue()


def _mean(values: Iterator[int]) -> float:
    found = list(values)
    return fmean(found) if found else 0.0
