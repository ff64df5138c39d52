"""Issue and collect: keeps groups running as admission allows, and hands out full steps of accepted ones.

Invariant: every group that starts ends in exactly one of three ways, accepted, filtered or failed, and counts there.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from espalier.core.errors import EspalierError
from espalier.envs.api import Task
from espalier.rl.loop.admission import Admission
from espalier.rl.loop.source import TaskSource
from espalier.rl.rollout.api import Player, ScoredGroup


class StarvedError(EspalierError):
    """No group of a whole step's worth of attempts was fit to train on."""


@dataclass(slots=True)
class Collected:
    """Groups for one step, by index, how the others ended (`filtered`, `failed`, `repaired`), and what went wrong."""

    groups: list[ScoredGroup]
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)


class Collector:
    """Owns the running groups. `resample` replaces groups without a difference in reward (DAPO's dynamic sampling).

    Groups are started in rounds, and judged in the order of their index once the round is over: which of them are
    replaced does not depend on the clock. After `max_rejected` rejections in one step the uninformative groups are
    accepted as they are, so that a task the policy always (or never) solves cannot stop the run.
    """

    def __init__(
        self, player: Player, source: TaskSource, admission: Admission, *, resample: bool, max_rejected: int
    ) -> None:
        self._player = player
        self._source = source
        self._admission = admission
        self._resample = resample
        self._max_rejected = max_rejected
        self._running: list[asyncio.Task[ScoredGroup]] = []

    async def collect(self) -> Collected:
        """Wait until a step's worth of groups is there, in the order of their index."""
        found = Collected([])
        while len(found.groups) < self._admission.groups_per_step:
            while self._admission.may_start():
                self._start(*self._source.next())
            for played in await asyncio.gather(*self._running):
                self._judge(played, found)
            self._running.clear()
        return found

    def _start(self, index: int, task: Task) -> None:
        self._admission.start()
        self._running.append(asyncio.create_task(self._player.play(index, task)))

    def _judge(self, played: ScoredGroup, found: Collected) -> None:
        counts = found.counts
        counts["repaired"] += played.repaired
        found.errors += played.errors
        rejected = counts["failed"] + counts["filtered"]
        if not played.usable:
            counts["failed"] += 1
            self._admission.reject()
            if counts["failed"] > self._max_rejected:
                raise StarvedError(
                    f"{counts['failed']} groups failed while collecting one step; the last error: {played.errors[-1]}"
                )
        elif self._resample and not played.informative and rejected < self._max_rejected:
            counts["filtered"] += 1
            self._admission.reject()
        else:
            self._admission.accept()
            found.groups.append(played)

    async def close(self) -> None:
        """Cancel what runs."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()
