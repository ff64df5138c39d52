"""Rounds of attempts. Which attempts share a batch must not depend on timing, because the last bits of matrix products
depend on the batch.
"""

from __future__ import annotations

import asyncio


class Rounds:
    """Lets attempts begin to sample together: a round begins when every attempt under way is waiting here.

    All attempts that enter together begin in one round, and repeated attempts begin in the next.
    """

    def __init__(self) -> None:
        self._running = 0
        self._waiting: dict[tuple[int, ...], asyncio.Future[None]] = {}

    def enter(self, count: int) -> None:
        """Register `count` attempts. Each of them must `leave`."""
        self._running += count

    def leave(self) -> None:
        """One attempt has ended."""
        self._running -= 1
        self._release()

    async def begin(self, key: tuple[int, ...]) -> None:
        """Wait for the next round, which begins in the order of the keys."""
        loop = asyncio.get_running_loop()
        future = self._waiting[key] = loop.create_future()
        self._running -= 1
        loop.call_soon(self._release)  # not at once: the last to come would be the first to go on
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
