"""One worker process, the threads that talk to it, and the calls it has not answered."""

from __future__ import annotations

import pickle
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any

from espalier.core import errors
from espalier.core.errors import EnvError, EspalierError
from espalier.core.workers import start_child
from espalier.envs.workers.child import CANCEL, MAKE, Failure


class OverrunError(EnvError):
    """A call passed its deadline, or its worker was ended because another call did."""


class EndedError(OverrunError):
    """A worker ended by itself, or was killed from outside, while a call was under way."""


class CallError(EnvError):
    """A call raised something: its class, its message, and where in the user's code."""


@dataclass(slots=True)
class Call:
    """A call under way. `started` is resolved when the worker begins with it; `begun` says that it was."""

    number: int
    started: Future[None] = field(default_factory=Future)
    result: Future[Any] = field(default_factory=Future)
    begun: bool = False


class Process:
    """A process that makes the pickled `(make, args)`, which `making` awaits, and answers calls."""

    def __init__(self, made: bytes) -> None:
        ours, theirs = Pipe()
        with theirs:
            self._popen = start_child("espalier.envs.workers", theirs.fileno(), PYTHONHASHSEED="0")
        self.pid = self._popen.pid
        self._calls: dict[int, Call] = {}
        self._lock = threading.Lock()
        self._ended = False
        self._reason = ""
        """Why it was killed from here; empty unless it was."""
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        threading.Thread(target=_write, args=(ours, self._outbox), daemon=True).start()
        threading.Thread(target=self._read, args=(ours,), daemon=True).start()
        self.making = Call(MAKE)
        self.send(self.making, made)

    @property
    def alive(self) -> bool:
        """Whether it can answer."""
        return not self._ended and self._popen.poll() is None

    def send(self, call: Call, body: bytes) -> None:
        """Begin a call. Never waits: a process that hangs does not read."""
        with self._lock:
            if self._ended:
                _fail(call, self._lost())
                return
            self._calls[call.number] = call
        self._outbox.put(call.number.to_bytes(8, "little") + body)

    def cancel(self, call: Call, grace: float) -> None:
        """Ask to cancel a call; one that was begun and goes on for `grace` seconds more costs the process."""
        self._outbox.put(call.number.to_bytes(8, "little") + CANCEL)
        if call.begun:
            timer = threading.Timer(grace, self._unless_answered, [call])
            timer.daemon = True
            timer.start()

    def kill(self, reason: str) -> None:
        """End it at once; its calls fail with `reason`."""
        self._reason = reason
        self._outbox.put(None)
        self._popen.kill()
        self._popen.wait()

    def _unless_answered(self, call: Call) -> None:
        if call.number in self._calls:
            self.kill("another call of the same worker passed its deadline")

    def _read(self, connection: Connection) -> None:
        with suppress(EOFError, OSError):
            while True:
                message = connection.recv_bytes()
                self._take(int.from_bytes(message[:8], "little"), message[8:])
        self._popen.wait()
        with self._lock:
            self._ended = True
            left = list(self._calls.values())
            self._calls.clear()
        for call in left:
            _fail(call, self._lost())

    def _lost(self) -> OverrunError:
        return OverrunError(self._reason) if self._reason else EndedError("the worker process ended by itself")

    def _take(self, number: int, body: bytes) -> None:
        call = self._calls.get(number)
        if call is None:
            return
        try:
            kind, value = pickle.loads(body)  # from our own child
        except Exception as error:
            kind, value = "failure", Failure(type(error).__name__, f"its result cannot be read: {error}", "")
        call.begun = True
        _settle(call.started, lambda future: future.set_result(None))
        if kind == "started":
            return
        self._calls.pop(number, None)
        if kind == "result":
            _settle(call.result, lambda future: future.set_result(value))
        elif kind == "failure":
            _fail(call, _error(value))
        else:
            call.result.cancel()


def _write(connection: Connection, outbox: queue.SimpleQueue[bytes | None]) -> None:
    with suppress(OSError):  # the process is gone: its reader says so
        while (message := outbox.get()) is not None:
            connection.send_bytes(message)


def _error(failure: Failure) -> EspalierError:
    known = getattr(errors, failure.kind, None) if failure.expected else None
    if known in (errors.ConfigError, errors.DataError, errors.EnvError, errors.NoDemonstrationsError):
        return known(failure.message)
    if failure.expected:
        return EnvError(failure.message)
    where = f" ({failure.where})" if failure.where else ""
    return CallError(f"{failure.kind}: {failure.message}{where}")


def _fail(call: Call, error: EspalierError) -> None:
    _settle(call.started, lambda future: future.set_result(None))
    _settle(call.result, lambda future: future.set_exception(error))


def _settle(future: Future[Any], how: Callable[[Future[Any]], None]) -> None:
    with suppress(InvalidStateError):  # whoever waited for it has left
        how(future)
