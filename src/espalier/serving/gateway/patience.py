"""A limit on how long nothing happens."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Patience:
    """`async with Patience(seconds) as patience:` raises TimeoutError when nothing has `moved` in it for so long.

    One timer, however much moves: a token costs no more than a look at the clock. expired: whether the time was up,
    or cut short. hurried: whether it was cut short.
    """

    def __init__(self, seconds: float) -> None:
        self.seconds, self.expired, self.hurried = seconds, False, False
        self._timeout = asyncio.timeout(None)
        self._last = 0.0

    async def __aenter__(self) -> Patience:
        self._loop = asyncio.get_running_loop()
        await self._timeout.__aenter__()
        self.moved()
        self._timer = self._loop.call_later(self.seconds, self._look)
        self._active = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._active = False
        self._timer.cancel()
        await self._timeout.__aexit__(kind, error, trace)

    def moved(self) -> None:
        """Something happened."""
        self._last = self._loop.time()

    def hurry(self, seconds: float) -> None:
        """What is waited for just now has so many seconds more, if that is less."""
        self._loop.call_later(seconds, self._unless_moved, self._last)

    def end(self) -> None:
        """There is no more of it, whatever has moved."""
        self._expire()

    def _look(self) -> None:
        left = self._last + self.seconds - self._loop.time()
        if left > 0.0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._expire()

    def _unless_moved(self, last: float) -> None:
        if self._last == last:
            self.hurried = self._active
            self._expire()

    def _expire(self) -> None:
        if self._active and not self.expired:
            self.expired = True
            self._timeout.reschedule(0.0)
