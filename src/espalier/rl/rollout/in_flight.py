"""The attempts that are under way: a limit on their number, and how many there were over time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    """Over some stretch of time: the mean number of attempts under way, and the seconds in which more could have been
    started but for new weights.
    """

    running: float
    blocked: float


class InFlight:
    """Lets at most `limit` attempts run at a time (0: any number), the first to come first.

    `freed`: called when an attempt ends and no other waits for its place. `full`: set by whoever starts attempts, when
    it may start no more before new weights are there.
    """

    def __init__(self, limit: int = 0, *, clock: Callable[[], float] = time.perf_counter) -> None:
        self.freed: Callable[[], None] = lambda: None
        self._places = asyncio.Semaphore(limit) if limit else None
        self.limit = limit
        self._clock = clock
        self._running = 0
        self._announced = self._waiting = 0
        self._full = False
        self._since = self._seen = clock()
        self._integral = self._blocked = 0.0

    @property
    def crowded(self) -> bool:
        """Whether every place is taken, or will be by the attempts that are announced or wait."""
        return bool(self.limit) and self._announced + self._waiting + self._running >= self.limit

    @property
    def full(self) -> bool:
        """See the class."""
        return self._full

    @full.setter
    def full(self, value: bool) -> None:
        self._measure()
        self._full = value

    def announce(self, count: int) -> None:
        """So many attempts will ask for a place soon."""
        self._announced += count

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Hold a place within; wait for it first."""
        self._announced = max(0, self._announced - 1)
        if self._places:
            self._waiting += 1
            try:
                await self._places.acquire()
            finally:
                self._waiting -= 1
        self._measure()
        self._running += 1
        try:
            yield
        finally:
            self._measure()
            self._running -= 1
            if self._places:
                self._places.release()
            if not self._waiting:
                self.freed()

    def usage(self) -> Usage:
        """Since the last call."""
        self._measure()
        seconds = self._seen - self._since
        found = Usage(self._integral / seconds if seconds > 0 else float(self._running), self._blocked)
        self._since, self._integral, self._blocked = self._seen, 0.0, 0.0
        return found

    def _measure(self) -> None:
        now = self._clock()
        self._integral += (now - self._seen) * self._running
        if self._full and not self.crowded:
            self._blocked += now - self._seen
        self._seen = now
