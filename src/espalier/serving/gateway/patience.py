"""A timeout for inactivity."""

from __future__ import annotations

import asyncio
from types import TracebackType


class Patience:
    """`async with Patience(seconds) as patience:` raises TimeoutError after so many seconds without a call of `moved`.

    There is one timer, so a token costs only one clock reading. expired: the timeout occurred, or the wait was ended
    early. hurried: it was ended early.
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
        """Record activity."""
        self._last = self._loop.time()

    def hurry(self, seconds: float) -> None:
        """Reduce the remaining time to `seconds` if it is longer."""
        self._loop.call_later(seconds, self._unless_moved, self._last)

    def end(self) -> None:
        """End the wait now, whatever activity there was."""
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
