"""A deadline of one call that leaves out the time in which the call waits for a free worker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from contextvars import ContextVar


class _Limit:
    """A running deadline."""

    def __init__(self, timeout: asyncio.Timeout, seconds: float) -> None:
        self._timeout = timeout
        self._seconds = seconds

    def stop(self) -> None:
        """Do not count from here on."""
        with suppress(RuntimeError):
            self._timeout.reschedule(None)

    def restart(self) -> None:
        """Count from the beginning again."""
        with suppress(RuntimeError):  # it has passed, or its body has ended
            self._timeout.reschedule(asyncio.get_running_loop().time() + self._seconds)


_limit: ContextVar[_Limit | None] = ContextVar("limit", default=None)


@asynccontextmanager
async def deadline(seconds: float) -> AsyncIterator[asyncio.Timeout]:
    """Raises TimeoutError where the body takes longer than `seconds`, less what it spends in `unhurried`.

    The timeout says, once `expired`, that the error is not the body's own.
    """
    async with asyncio.timeout(seconds) as timeout:
        token = _limit.set(_Limit(timeout, seconds))
        try:
            yield timeout
        finally:
            _limit.reset(token)


@contextmanager
def unhurried() -> Iterator[None]:
    """The deadline around, if there is one, does not run within, and starts anew afterwards."""
    limit = _limit.get()
    if limit is None:
        yield
        return
    limit.stop()
    try:
        yield
    finally:
        limit.restart()
