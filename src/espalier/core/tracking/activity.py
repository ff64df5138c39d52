"""What one part of a run does now, and since when."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from espalier.core.tracking.spans import Lane


class Activity:
    """Of the learner, or of one attempt: `doing`, a word, since `since` in seconds of the epoch. `begun`: its first.

    `with activity.at("train"):` does something within, and then again what was done before. It is recorded in `lane`,
    where the run is traced. It is its own context manager: a new one each time would take three times as long.
    """

    __slots__ = ("_before", "_clock", "_lane", "begun", "doing", "since")

    def __init__(self, lane: Lane | None = None, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lane = lane
        self._before: list[tuple[str, float, float, Mapping[str, object]]] = []
        self.doing = ""
        self.begun = self.since = clock()

    def at(self, doing: str, **args: object) -> Activity:
        """See the class. `args`: of the span."""
        self._before.append((self.doing, self.since, 0.0 if self._lane is None else self._lane.now(), args))
        self.doing, self.since = doing, self._clock()
        return self

    def __enter__(self) -> None:
        """`at` has begun."""

    def __exit__(self, *error: object) -> None:
        done = self.doing
        self.doing, self.since, begun, args = self._before.pop()
        if self._lane is not None:
            self._lane.add(done, begun, args)
