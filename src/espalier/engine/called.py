"""Both ends of an embedded engine that runs elsewhere: its methods are called by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, ClassVar

from espalier.core.errors import EngineError, EngineLostError
from espalier.engine.api import Capabilities, Completion, EngineStats, PauseMode, Sampling
from espalier.engine.config import EngineConfig
from espalier.engine.local import LocalEngine
from espalier.engine.updates import WeightUpdate

CALLS = ("generate", "score", "pause", "load", "resume", "publish", "sleep", "release", "stats")
"""Methods of the engine that may be called."""


async def answer(engine: LocalEngine, method: str, args: Sequence[Any]) -> Any:
    """What a method of the engine returns, where the engine runs."""
    if method not in CALLS:
        raise EngineError(f"the engine's process cannot do {method!r}")
    if method == "generate":
        prompt, sampling, session = args
        return await engine.generate(prompt, sampling, session=session)
    return await getattr(engine, method)(*args)


class CalledEngine(ABC):
    """Implements `espalier.engine.api.Engine` but for weights. A kind says how its methods are called, and how it ends.

    Raises EngineLostError from every call once the engine is gone.
    """

    CAPABILITIES: ClassVar[Capabilities]

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self._version = 0

    @property
    def capabilities(self) -> Capabilities:
        """See `Engine`."""
        return self.CAPABILITIES

    @property
    def version(self) -> int:
        """See `Engine`."""
        return self._version

    @property
    def max_len(self) -> int:
        """See `Engine`."""
        return self.config.max_len

    @property
    def max_rows(self) -> int:
        """See `Engine`."""
        return self.config.max_rows

    async def generate(self, prompt: Sequence[int], sampling: Sampling, *, session: str = "") -> Completion:
        """See `Engine`."""
        completion: Completion = await self._ask("generate", list(prompt), sampling, session)
        return completion

    async def score(self, tokens: Sequence[int]) -> list[float]:
        """See `Engine`."""
        found: list[float] = await self._ask("score", list(tokens))
        return found

    async def pause(self, mode: PauseMode) -> None:
        """See `Engine`."""
        await self._ask("pause", mode)

    @abstractmethod
    async def load(self, update: WeightUpdate) -> None:
        """See `Engine`."""

    async def resume(self) -> None:
        """See `Engine`."""
        await self._ask("resume")

    @abstractmethod
    async def publish(self, update: WeightUpdate, mode: PauseMode = "keep") -> None:
        """See `Engine`."""

    async def sleep(self) -> None:
        """See `Engine`."""
        await self._ask("sleep")

    async def release(self, session: str) -> None:
        """See `Engine`."""
        with suppress(EngineLostError):  # with the engine went what it held
            await self._ask("release", session)

    async def stats(self) -> EngineStats:
        """See `Engine`."""
        found: EngineStats = await self._ask("stats")
        return found

    async def close(self) -> None:
        """See `Engine`."""
        self.kill()

    @abstractmethod
    def kill(self) -> None:
        """End it at once."""

    @abstractmethod
    async def _ask(self, method: str, *args: Any) -> Any:
        """Call a method, see `answer`."""
