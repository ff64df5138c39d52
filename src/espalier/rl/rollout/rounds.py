"""Rounds of attempts: who shares a batch must not depend on the clock, as the last bits of its products do on it."""

from __future__ import annotations

import asyncio


class Rounds:
    """Lets attempts begin to sample together: once none is under way that does not wait here.

    So all attempts that were entered at once begin in one round, and those that repair failed ones in the next.
    """

    def __init__(self) -> None:
        self._running = 0
        self._waiting: dict[tuple[int, ...], asyncio.Future[None]] = {}

    def enter(self, count: int) -> None:
        """`count` attempts are under way. Each of them must `leave`."""
        self._running += count

    def leave(self) -> None:
        """One of them has ended."""
        self._running -= 1
        self._release()

    async def begin(self, key: tuple[int, ...]) -> None:
        """Wait for the next round, which begins in the order of the keys."""
        future = self._waiting[key] = asyncio.get_running_loop().create_future()
        self._running -= 1
        self._release()
        try:
            await future
        finally:
            if self._waiting.pop(key, None) is not None or future.cancelled():
                self._running += 1

    def _release(self) -> None:
        if self._running:
            return
        for key in sorted(self._waiting):
            future = self._waiting.pop(key)
            if not future.done():
                future.set_result(None)
                self._running += 1
