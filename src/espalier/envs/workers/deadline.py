"""A deadline of one call that leaves out the time in which the call waits for a free worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Generator, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TypeVar

T = TypeVar("T")


class DeadlineError(TimeoutError):
    """A call took longer than its deadline."""


class _Limit:
    """A running deadline."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._timeout: asyncio.Timeout | None = None
        self._end: float | None = None
        self.restart()

    def timeout(self) -> asyncio.Timeout:
        """What cancels the call at its end."""
        self._timeout = asyncio.timeout_at(self._end)
        return self._timeout

    @property
    def expired(self) -> bool:
        """Whether the call was cancelled."""
        return self._timeout is not None and self._timeout.expired()

    def stop(self) -> None:
        """Do not count from here on."""
        self._move(None)

    def restart(self) -> None:
        """Count from the beginning again."""
        self._move(asyncio.get_running_loop().time() + self.seconds)

    def _move(self, end: float | None) -> None:
        self._end = end
        if self._timeout is not None:
            with suppress(RuntimeError):  # it has passed, or the call has ended
                self._timeout.reschedule(end)


_limit: ContextVar[_Limit | None] = ContextVar("limit", default=None)


async def within(seconds: float, call: Awaitable[T]) -> T:
    """Await `call`. Raises DeadlineError where it takes longer than `seconds`, less what it spends in `unhurried`.

    A call that never waits costs no timer: most environments compute their answers.
    """
    limit = _Limit(seconds)
    token = _limit.set(limit)
    try:
        steps = _awaited(call).__await__()
        try:
            waits_for = next(steps)
        except StopIteration as ended:
            return ended.value
        async with limit.timeout():
            return await _Rest(waits_for, steps)
    except TimeoutError:
        if limit.expired:
            raise DeadlineError(f"took longer than {seconds:g} s") from None
        raise
    finally:
        _limit.reset(token)


async def _awaited(call: Awaitable[T]) -> T:
    """Whatever `await` takes, as a coroutine."""
    return await call


class _Rest(Awaitable[T]):
    """What is left of an awaitable that has run up to its first wait, which is for `waits_for`."""

    def __init__(self, waits_for: Any, steps: Generator[Any, Any, T]) -> None:
        self._waits_for = waits_for
        self._steps = steps

    def __await__(self) -> Generator[Any, Any, T]:
        waits_for = self._waits_for
        try:
            while True:
                try:
                    yield waits_for
                except BaseException as error:
                    waits_for = self._steps.throw(error)
                else:
                    waits_for = next(self._steps)
        except StopIteration as ended:
            return ended.value


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
