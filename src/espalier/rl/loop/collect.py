"""Issues and collects groups: starts as many as admission allows, and returns full steps of accepted groups.

Invariant: every started group ends in exactly one of three ways: accepted, filtered or failed. Each is counted.
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
    """In a whole step's worth of attempts, no group could be used for training."""


@dataclass(slots=True)
class Collected:
    """The groups of one step by index, how the other groups ended (`filtered`, `failed`, `repaired`), and the
    errors.
    """

    groups: list[ScoredGroup]
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)


class Collector:
    """Owns the running groups. `resample` replaces groups with equal rewards (DAPO's dynamic sampling).

    Groups are started in rounds, and evaluated in the order of their index when the round has ended. Which of them are
    replaced therefore does not depend on timing. After `max_rejected` rejections in one step, groups with equal rewards
    are accepted, so that a task which the policy always (or never) solves cannot stop the run.
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
        """Wait until the groups of a step are complete. Returns them in the order of their index."""
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
        """Cancel running groups."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._running.clear()
