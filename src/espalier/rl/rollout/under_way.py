"""The attempts under way: what each does now, for whoever watches the run."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext

from espalier.core.tracking.activity import Activity
from espalier.core.tracking.live import Work
from espalier.core.tracking.spans import Lane, Spans
from espalier.envs.api import Task

AWAITED = {
    "generate": "the engine",
    "environment": "the environment",
    "reward": "the reward",
    "round": "the next round",
}
"""What an attempt waits for, in words."""


class Playing(Activity):
    """One attempt at `task`: which of `AWAITED` it waits for, in which `turn`."""

    __slots__ = ("task", "turn")

    def __init__(self, task: Task, lane: Lane | None = None, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(lane, clock=clock)
        self.task = task
        self.turn = 0


class UnderWay:
    """Knows the attempts of all players that share it, and records them in `spans`, where the run is traced."""

    def __init__(self, spans: Spans | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._spans = spans
        self._clock = clock
        self._playing: dict[int, Playing] = {}

    @contextmanager
    def attempt(self, task: Task) -> Iterator[Playing]:
        """An attempt at `task` is under way within."""
        with self._spans.slot("attempt") if self._spans else nullcontext() as lane:
            playing = Playing(task, lane, clock=self._clock)
            self._playing[id(playing)] = playing
            try:
                with lane.span(task.env, task=task.key) if lane else nullcontext():
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
