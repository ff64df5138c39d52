"""The process of an engine: makes it from the first message, then answers calls until the parent is gone."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from espalier.core.errors import EngineError
from espalier.engine.called import answer
from espalier.engine.config import EngineConfig
from espalier.engine.embedded import embedded
from espalier.engine.local import LocalEngine
from espalier.engine.process.wire import Wire
from espalier.lm.decoder import Decoder

CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Start:
    """The first message. threads: of torch. cores: on which the process runs; empty for all."""

    model: Decoder
    config: EngineConfig
    threads: int
    cores: Sequence[int]


class Child:
    """Answers `(number, method, args)` with `(number, result, None)` or `(number, None, message)`."""

    def __init__(self) -> None:
        self._calls: dict[int, asyncio.Task[None]] = {}
        self._engine: LocalEngine | None = None
        self._wire: Wire | None = None

    async def serve(self, end: socket.socket) -> None:
        """Answer for ever; the process ends with the connection."""
        self._wire = await Wire.over(end, self._take, lambda: os._exit(0), gather=True)
        await asyncio.Event().wait()

    def _take(self, message: tuple[int, str, tuple[Any, ...]]) -> None:
        number, method, args = message
        if method == CANCEL:
            if call := self._calls.get(number):
                call.cancel()
        else:
            self._calls[number] = asyncio.get_running_loop().create_task(self._answer(number, method, args))

    async def _answer(self, number: int, method: str, args: tuple[Any, ...]) -> None:
        assert self._wire is not None
        try:
            self._wire.send((number, await self._call(method, args), None))
        except asyncio.CancelledError:
            self._wire.send((number, None, "cancelled"))
        except EngineError as error:
            self._wire.send((number, None, str(error)))
        except Exception as error:
            self._wire.send((number, None, f"{type(error).__name__}: {error}"))
        finally:
            del self._calls[number]

    async def _call(self, method: str, args: tuple[Any, ...]) -> Any:
        if method == "start":
            return self._start(*args)
        if self._engine is None:
            raise EngineError(f"the engine's process cannot do {method!r}")
        return await answer(self._engine, method, args)

    def _start(self, start: Start) -> None:
        if start.cores and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, start.cores)
        torch.set_num_threads(start.threads)
        assert self._wire is not None
        self._engine = embedded(start.model, start.config, overlap=True)
        self._engine.before_step = self._wire.flush  # answers do not wait for the next step
