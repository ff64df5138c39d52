"""One engine of a pool: started, given weights, checked, watched, and started again when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields, replace
from typing import Protocol, TypeVar

from espalier.core.errors import EngineLostError
from espalier.engine.api import Engine, EngineStats
from espalier.engine.config import CONTROL_SECONDS
from espalier.engine.updates import WeightUpdate


class Managed(Engine, Protocol):
    """An engine that can be ended from outside."""

    def kill(self) -> None:
        """End it at once, and what it runs in if that was started with it."""
        ...


T = TypeVar("T")
Launch = Callable[[], Awaitable[Managed]]


@dataclass(frozen=True, slots=True)
class Limits:
    """Deadlines in seconds. request: of one completion. control: of each other call. heartbeat: between two looks at an
    engine. restarts: consecutive times that a lost engine is started again before it is given up, and that a request
    begins again before it fails.
    """

    request: float = 600.0
    control: float = CONTROL_SECONDS
    heartbeat: float = 5.0
    restarts: int = 3


class Member:
    """Holds the engine that `launch` starts. `up` is set while it may be sent requests."""

    def __init__(self, name: str, launch: Launch, limits: Limits) -> None:
        self.name = name
        self.up = asyncio.Event()
        self.given_up = ""
        """Why it is not started again."""
        self.lost = 0
        self.before = EngineStats()
        """Counters of the engines that were lost, as they were last seen."""
        self._seen = EngineStats()
        self._launch = launch
        self._limits = limits
        self._failures = 0
        self._engine: Managed | None = None

    @property
    def engine(self) -> Managed:
        """The engine. Raises EngineLostError while there is none."""
        if self._engine is None:
            raise EngineLostError(f"{self.name} is not running")
        return self._engine

    @property
    def seen(self) -> EngineStats:
        """The counters as they were last seen, with those of the engines before."""
        return added(self._seen, self.before)

    def holds(self, engine: Managed) -> bool:
        """Whether `engine` is the current one, and may be sent requests."""
        return self._engine is engine and self.up.is_set()

    async def launch(self) -> None:
        """Start an engine, which gets no requests yet."""
        self._engine = await self._launch()

    async def admit(self, update: WeightUpdate | None) -> None:
        """Give the engine the weights of `update`, check them, and let it have requests."""
        if update is not None:
            await self.control(self.engine.publish(update), "a publish")
        if self.given_up:
            raise EngineLostError(self.given_up)
        self.up.set()

    def failed(self, why: str) -> None:
        """Count a failure, and end the engine. After too many in a row it is given up."""
        self.drop()
        self._failures += 1
        if self._failures > self._limits.restarts:
            self.given_up = self.given_up or why

    def succeeded(self) -> None:
        """A request was completed: failures are counted anew."""
        self._failures = 0

    def drop(self) -> None:
        """End the engine, if there is one; it gets no more requests."""
        self.up.clear()
        if self._engine is not None:
            self.before = added(self.before, replace(self._seen, running=0, waiting=0))
            self._seen = EngineStats()
            self._engine.kill()
            self._engine = None

    async def close(self) -> None:
        """End the engine, for good."""
        self.up.clear()
        self.given_up = self.given_up or "it was closed"
        if self._engine is not None:
            engine, self._engine = self._engine, None
            await engine.close()

    async def control(self, call: Awaitable[T], what: str) -> T:
        """Await a call that is not a completion. Raises EngineLostError if it takes longer than `Limits.control`."""
        try:
            async with asyncio.timeout(self._limits.control):
                return await call
        except TimeoutError:
            raise EngineLostError(
                f"{self.name} did not answer within {self._limits.control:g} s: {what} waits for it"
            ) from None

    async def stats(self) -> EngineStats:
        """The engine's counters, with those of the engines before it. Also the heartbeat."""
        engine = self.engine
        found = await self.control(engine.stats(), "the heartbeat")
        if self._engine is engine:
            self._seen = found
        return added(found, self.before)


def added(one: EngineStats, other: EngineStats) -> EngineStats:
    """The counters of both, added up; the version is that of `one`."""
    names = (field.name for field in fields(EngineStats) if field.name != "version")
    return replace(one, **{name: getattr(one, name) + getattr(other, name) for name in names})
