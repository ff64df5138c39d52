"""A worker: an object in a process of its own, called with deadlines that hold, because what overruns is killed."""

from __future__ import annotations

import asyncio
import itertools
import pickle
import threading
import weakref
from collections.abc import Callable
from typing import Any, Protocol

from espalier.envs.workers.child import MAKE
from espalier.envs.workers.deadline import unhurried
from espalier.envs.workers.process import Call, OverrunError, Process

START_SECONDS = 120.0
"""Longest start of a process: what it imports may be large."""
GRACE = 1.0
"""Seconds that a cancelled call has to end by itself before its process is killed."""


class Served(Protocol):
    """An object elsewhere, whose methods are called by name. See `Worker`."""

    def call(self, method: str, *args: Any, seconds: float) -> Any:
        """What the method returns. Blocks. Raises OverrunError after `seconds`."""
        ...

    async def ask(self, method: str, *args: Any) -> Any:
        """The same, while the event loop goes on; the deadline is that around the call."""
        ...


Start = Callable[..., Served]
"""`Worker`, or whatever else holds the object `make(*args)`."""


class Worker:
    """A process that holds the object `make(*args)`, whose methods are called there. Safe to call from any thread.

    `make` is a class or function of a module. The process starts with the first call, and again where it has died.
    """

    def __init__(self, make: Callable[..., Any], *args: Any) -> None:
        self._made = pickle.dumps((make, args))
        self._lock = threading.Lock()
        self._numbers = itertools.count(MAKE + 1)
        self._running: list[Process] = []
        """The process, if one was started."""
        weakref.finalize(self, _end, self._running)

    @property
    def pid(self) -> int | None:
        """The process that runs, if one does."""
        return next((process.pid for process in self._running if process.alive), None)

    def ready(self) -> Process:
        """Wait until the object is made. Raises what making it raised, OverrunError where that takes too long."""
        process = self._process()
        try:
            process.making.result.result(START_SECONDS)
        except TimeoutError:
            process.kill(f"the worker did not start within {START_SECONDS:g} s")
            raise OverrunError(f"the worker did not start within {START_SECONDS:g} s") from None
        return process

    def call(self, method: str, *args: Any, seconds: float) -> Any:
        """What the method returns. Blocks.

        Raises OverrunError after `seconds` of work, CallError where the method raises, and errors of espalier as they
        are. Where another call holds the process up for as long, that one is killed and this one begins anew.
        """
        body = pickle.dumps((method, args))
        for _ in range(2):
            process, call = self.ready(), Call(next(self._numbers))
            process.send(call, body)
            try:
                call.started.result(seconds)
                return call.result.result(seconds)
            except TimeoutError:
                process.kill(f"a call took longer than {seconds:g} s")
                if call.begun:
                    break
            except OverrunError:
                if call.begun:
                    raise
        raise OverrunError(f"it took longer than {seconds:g} s")

    async def ask(self, method: str, *args: Any) -> Any:
        """What the method returns, or raises as `call` does. The event loop goes on.

        Where this is cancelled, so is the call; one that goes on all the same costs the process, and with it the other
        calls under way; a call that had not begun is sent to the next process, once. The deadline around counts from
        when the worker begins.
        """
        body = pickle.dumps((method, args))
        call = Call(next(self._numbers))
        try:
            return await self._once(call, body)
        except OverrunError:
            if call.begun:
                raise
        return await self._once(Call(next(self._numbers)), body)

    async def _once(self, call: Call, body: bytes) -> Any:
        process = self._process()
        process.send(call, body)
        try:
            with unhurried():
                await self._made_by(process)
                await asyncio.wrap_future(call.started)
            return await asyncio.wrap_future(call.result)
        except asyncio.CancelledError:
            process.cancel(call, GRACE)
            raise

    def close(self) -> None:
        """End the process; the next call starts another."""
        with self._lock:
            _end(self._running)

    async def _made_by(self, process: Process) -> None:
        making = asyncio.shield(asyncio.wrap_future(process.making.result))
        try:
            await asyncio.wait_for(making, START_SECONDS)
        except TimeoutError:
            process.kill(f"the worker did not start within {START_SECONDS:g} s")
            raise OverrunError(f"the worker did not start within {START_SECONDS:g} s") from None

    def _process(self) -> Process:
        with self._lock:
            if not self._running or not self._running[0].alive:
                self._running[:] = [Process(self._made)]
            return self._running[0]


def _end(processes: list[Process]) -> None:
    for process in processes:
        process.kill("the worker was closed")
    processes.clear()
