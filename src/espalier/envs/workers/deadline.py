"""A deadline of one call that leaves out the time in which the call waits for a free worker."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from types import TracebackType


class _Limit:
    """A running deadline."""

    def __init__(self, timeout: asyncio.Timeout, seconds: float) -> None:
        self._timeout = timeout
        self.seconds = seconds

    def stop(self) -> None:
        """Do not count from here on."""
        with suppress(RuntimeError):
            self._timeout.reschedule(None)

    def restart(self) -> None:
        """Count from the beginning again."""
        with suppress(RuntimeError):  # it has passed, or its body has ended
            self._timeout.reschedule(asyncio.get_running_loop().time() + self.seconds)


_limit: ContextVar[_Limit | None] = ContextVar("limit", default=None)


class deadline:  # noqa: N801 (used like asyncio.timeout)
    """`async with deadline(seconds):` raises TimeoutError where the body takes longer than `seconds`, less what it
    spends in `unhurried`.

    What it is bound to by `as` says, once `expired`, that the error is not the body's own.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds

    async def __aenter__(self) -> asyncio.Timeout:
        self._timeout = await asyncio.timeout(self._seconds).__aenter__()
        self._token = _limit.set(_Limit(self._timeout, self._seconds))
        return self._timeout

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _limit.reset(self._token)
        await self._timeout.__aexit__(kind, error, trace)


def deadline_seconds() -> float | None:
    """Of the deadline around, if there is one."""
    limit = _limit.get()
    return None if limit is None else limit.seconds


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
