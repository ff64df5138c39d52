"""The attempts under way: what each does now, for whoever watches the run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from espalier.core.tracking.activity import Activity
from espalier.core.tracking.live import Work
from espalier.envs.api import Task

AWAITED = {"engine": "the engine", "environment": "the environment", "reward": "the reward", "round": "the next round"}
"""What an attempt waits for, in words."""


class Playing(Activity):
    """One attempt at `task`: which of `AWAITED` it waits for, in which `turn`."""

    __slots__ = ("task", "turn")

    def __init__(self, task: Task, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(clock=clock)
        self.task = task
        self.turn = 0


class UnderWay:
    """Knows the attempts of all players that share it."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._playing: dict[int, Playing] = {}

    @contextmanager
    def attempt(self, task: Task) -> Iterator[Playing]:
        """An attempt at `task` is under way within."""
        playing = Playing(task, clock=self._clock)
        self._playing[id(playing)] = playing
        try:
            yield playing
        finally:
            del self._playing[id(playing)]

    def slowest(self, most: int) -> list[Work]:
        """The attempts that began first, at most so many."""
        first = sorted(self._playing.values(), key=lambda one: one.begun)[:most]
        return [
            Work(f"{one.task.env} {one.task.key}", f"turn {one.turn}, waits for {AWAITED[doing]}", one.begun)
            for one in first
            if (doing := one.doing)
        ]

    def summary(self) -> str:
        """What they wait for, and how many of them."""
        counts = Counter(one.doing for one in list(self._playing.values()) if one.doing)
        found = ", ".join(f"{AWAITED[doing]} ({count})" for doing, count in counts.most_common())
        return f"wait for {found}" if found else ""
