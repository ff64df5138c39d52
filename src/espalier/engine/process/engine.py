"""The parent's side of an engine in a process of its own."""

from __future__ import annotations

import asyncio
import copy
import itertools
import socket
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from espalier.core.errors import EngineError, EngineLostError
from espalier.core.workers import start_child
from espalier.engine.api import Capabilities, PauseMode
from espalier.engine.called import CalledEngine
from espalier.engine.config import EngineConfig
from espalier.engine.process.child import CANCEL, Start
from espalier.engine.process.wire import Wire
from espalier.engine.requests import check_update
from espalier.engine.updates import WeightUpdate
from espalier.lm.decoder import Decoder

START_SECONDS = 120.0
"""Longest start of the process, with its imports and the copy of the model."""


class ProcessEngine(CalledEngine):
    """A `LocalEngine` in a child process. Made by `start`."""

    CAPABILITIES = Capabilities(updates=frozenset(("shared", "files", "adapter")))

    def __init__(self, config: EngineConfig, popen: subprocess.Popen[bytes]) -> None:
        super().__init__(config)
        self.pid = popen.pid
        self._popen = popen
        self._numbers = itertools.count()
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._lost = ""
        self._wire: Wire | None = None

    @classmethod
    async def start(
        cls, model: Decoder, config: EngineConfig, *, threads: int, cores: Sequence[int] = (), gather: bool = False
    ) -> ProcessEngine:
        """Start the process with the weights of `model`. Raises EngineLostError if it does not start in time.

        threads: of its computations. cores: the only ones that it uses; empty for all. gather: requests of one turn of
        the event loop are sent together, so that the engine begins them in one step. They wait for the turn's end,
        which is late where a learner holds it up.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            popen = start_child("espalier.engine.process", theirs.fileno(), OMP_NUM_THREADS=str(threads))
        engine = cls(config, popen)
        engine._wire = await Wire.over(ours, engine._take, engine._gone, gather=gather)
        try:
            own = copy.deepcopy(model).requires_grad_(False)
            await engine._ask("start", Start(own, config, threads, cores), seconds=START_SECONDS)
        except BaseException:
            engine.kill()
            raise
        return engine

    async def load(self, update: WeightUpdate) -> None:
        """See `Engine`."""
        check_update(self.capabilities, update)
        await self._ask("load", update)
        self._version = update.version

    async def publish(self, update: WeightUpdate, mode: PauseMode = "keep") -> None:
        """See `Engine`. One message: what pauses, loads and resumes is the process itself."""
        check_update(self.capabilities, update)
        await self._ask("publish", update, mode)
        self._version = update.version

    def kill(self) -> None:
        """End the process at once."""
        self._popen.kill()
        self._popen.wait()
        if self._wire is not None:
            self._wire.close()
        self._gone("it was closed")

    async def _ask(self, method: str, *args: Any, seconds: float | None = None) -> Any:
        if self._lost:
            raise EngineLostError(self._lost)
        assert self._wire is not None
        number = next(self._numbers)
        future = self._calls[number] = asyncio.get_running_loop().create_future()
        self._wire.send((number, method, args))
        try:
            async with asyncio.timeout(seconds):
                return await future
        except TimeoutError:
            raise EngineLostError(f"the engine's process {self.pid} did not answer {method} in {seconds:g} s") from None
        finally:
            if self._calls.pop(number, None) is not None and not self._lost:
                self._wire.send((number, CANCEL, ()))

    def _take(self, message: tuple[int, Any, str | None]) -> None:
        number, result, fault = message
        future = self._calls.pop(number, None)
        if future is None or future.done():
            return
        if fault is None:
            future.set_result(result)
        else:
            future.set_exception(EngineError(fault))

    def _gone(self, why: str = "") -> None:
        if self._lost:
            return
        with suppress(subprocess.TimeoutExpired):
            self._popen.wait(1.0)  # it is ending: its connection is gone
        code = self._popen.poll()
        self._lost = f"the engine's process {self.pid} ended{f' ({why})' if why else f' with exit status {code}'}"
        for future in self._calls.values():
            if not future.done():
                future.set_exception(EngineLostError(self._lost))
        self._calls.clear()
