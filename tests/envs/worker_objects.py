"""Objects that workers hold in tests."""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import suppress

from espalier.core.errors import ConfigError


class Odd:
    """Does what a user's code may do."""

    def __init__(self, wrong: str = "") -> None:
        if wrong:
            raise ConfigError(wrong)
        self.count = 0

    def counted(self) -> int:
        """Calls so far."""
        self.count += 1
        return self.count

    def spin(self) -> None:
        """Compute for ever."""
        while True:
            pass

    def tower(self) -> int:
        """One operation that holds the interpreter for ever."""
        return 9**9**9**9

    def stubborn(self) -> None:
        """Swallow whatever is raised to stop it."""
        while True:
            with suppress(BaseException):
                time.sleep(0.05)

    async def wait(self, seconds: float) -> float:
        """Await."""
        await asyncio.sleep(seconds)
        return seconds

    def block(self, seconds: float) -> float:
        """Take time without awaiting."""
        time.sleep(seconds)
        return seconds

    def leave(self) -> None:
        """End the process."""
        os._exit(3)

    def exit(self) -> None:
        """Ask to end the process."""
        raise SystemExit(3)

    async def cancelled(self) -> None:
        """Raise what looks like a cancellation."""
        raise asyncio.CancelledError

    def broken(self) -> None:
        """Raise."""
        raise KeyError("boom")

    def unreadable(self) -> object:
        """Return what cannot be sent."""
        return lambda: None

    def walk(self) -> list[str]:
        """The order of a set of texts, which follows the hash seed."""
        return list({f"text {i}" for i in range(50)})
