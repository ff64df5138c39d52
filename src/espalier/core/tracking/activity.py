"""What one part of a run does now, and since when."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Activity:
    """Of the learner, or of one attempt: `doing`, a word, since `since` in seconds of the epoch. `begun`: its first."""

    __slots__ = ("_clock", "begun", "doing", "since")

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self.doing = ""
        self.begun = self.since = clock()

    @contextmanager
    def at(self, doing: str) -> Iterator[None]:
        """Do this within; afterwards again what was done before, since when it was."""
        before = self.doing, self.since
        self.doing, self.since = doing, self._clock()
        try:
            yield
        finally:
            self.doing, self.since = before
