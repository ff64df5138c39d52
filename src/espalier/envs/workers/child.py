"""A worker process: makes one object, then answers calls of its methods until the parent is gone.

Messages are pickles, in both directions between a process and its own child. Calls that await go on side by side; one
that does not await holds up the others, and the parent ends the process where a deadline passes.
"""

from __future__ import annotations

import asyncio
import inspect
import os
import pickle
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Literal

from espalier.core.errors import EspalierError
from espalier.core.plugins import culprit

MAKE = 0
"""Number of the call that makes the object."""
CANCEL = b"cancel"
"""Body of a message that cancels the call of its number; no pickle looks like it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An exception of a call: its class, its message and where in the user's code it was raised."""

    kind: str
    message: str
    where: str
    expected: bool = False
    """An EspalierError: the message says all."""


Kind = Literal["started", "result", "failure", "cancelled"]


class Child:
    """Answers calls from `connection`."""

    def __init__(self, connection: Connection, loop: asyncio.AbstractEventLoop) -> None:
        self._connection = connection
        self._loop = loop
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._served: Any = None

    def listen(self) -> None:
        """Take the next message, which is there; end the process with the connection."""
        try:
            message = self._connection.recv_bytes()
        except (EOFError, OSError):
            os._exit(0)
        number = int.from_bytes(message[:8], "little")
        if message[8:] == CANCEL:
            if call := self._calls.get(number):
                call.cancel()
        else:
            self._calls[number] = self._loop.create_task(self._answer(number, message[8:]))

    async def _answer(self, number: int, body: bytes) -> None:
        self._say(number, "started")
        try:
            method, args = pickle.loads(body)  # from our parent
            found = method(*args) if number == MAKE else getattr(self._served, method)(*args)
            value = await found if inspect.isawaitable(found) else found
            if number == MAKE:
                self._served, value = value, None
            self._say(number, "result", value)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            asked = task is not None and task.cancelling() > 0
            self._say(number, *(("cancelled",) if asked else ("failure", failure(error))))
        except BaseException as error:  # SystemExit in a judge is its failure, not the end of the worker
            self._say(number, "failure", failure(error))
        finally:
            self._calls.pop(number, None)

    def _say(self, number: int, kind: Kind, value: Any = None) -> None:
        message = number.to_bytes(8, "little") + pickle.dumps((kind, value))
        try:
            self._connection.send_bytes(message)
        except OSError:
            os._exit(0)


def failure(error: BaseException) -> Failure:
    """What the parent is told of an exception."""
    return Failure(type(error).__name__, str(error), culprit(error), isinstance(error, EspalierError))


async def main(descriptor: int) -> None:
    """Answer until the parent is gone."""
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, Child(Connection(descriptor), loop).listen)
    await asyncio.Event().wait()
