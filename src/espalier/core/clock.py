"""Time, injected: the real clock, and a virtual one in which hours of asyncio pass at once."""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Clock(Protocol):
    """Seconds since some fixed moment, and waiting."""

    def now(self) -> float:
        """Seconds; only differences mean something."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds`."""
        ...


class RealClock:
    """The machine's monotonic clock."""

    def now(self) -> float:
        """Seconds since some fixed moment."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of real time."""
        await asyncio.sleep(seconds)


class VirtualClock:
    """Time moves only when nothing else can: `run` jumps to the next timer whenever every coroutine waits.

    Timeouts and sleeps of asyncio itself follow it too: concurrent code is tested without waiting, deterministically.
    """

    def __init__(self, start: float = 0.0) -> None:
        self._now = start

    def now(self) -> float:
        """Virtual seconds."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of virtual time; inside `run` only."""
        await asyncio.sleep(seconds)

    def advance(self, seconds: float) -> None:
        """Move time forward by hand."""
        self._now += seconds

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """`asyncio.run` in virtual time. Raises RuntimeError where every coroutine waits for ever."""
        with asyncio.Runner(loop_factory=lambda: _VirtualLoop(self)) as runner:
            return runner.run(main)


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(_JumpingSelector(clock))
        self._virtual = clock

    def time(self) -> float:
        return self._virtual.now()


class _JumpingSelector(selectors.DefaultSelector):
    """Where a selector would block until the next timer, this one moves the clock there."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self._clock = clock

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0)
        if not events:
            if timeout is None:
                raise RuntimeError("every coroutine waits and no timer is set: virtual time cannot go on")
            self._clock.advance(max(timeout, 0.0))
        return events
