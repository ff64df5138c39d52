"""Looking at engines from outside, without asking them: for whoever watches a run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from espalier.core.tracking.live import Worker
from espalier.engine.api import Engine, EngineStats
from espalier.engine.local import LocalEngine
from espalier.engine.pool.pool import Pool

IDLE = 10.0
"""Seconds without a token after which an engine is idle: twice the usual time between two heartbeats."""


@dataclass(slots=True)
class Speed:
    """Tokens a second between two readings that differ; 0.0 after `IDLE` seconds in which they do not."""

    tokens: int = 0
    at: float = 0.0
    value: float = 0.0

    def read(self, tokens: int, now: float) -> float:
        """The speed, given the number of sampled tokens at `now`."""
        if (tokens > self.tokens and now > self.at) or now - self.at > IDLE:
            self.value = (tokens - self.tokens) / (now - self.at)
            self.tokens, self.at = tokens, now
        return self.value


class EngineWatch:
    """What each engine does. Counters of engines elsewhere are those of their last heartbeat."""

    def __init__(self, engine: Engine, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._engine = engine
        self._clock = clock
        self._begun = clock()
        self._speeds: dict[str, Speed] = {}

    def look(self) -> list[Worker]:
        """The engines now."""
        now = self._clock()
        found = []
        for name, up, stats in _readings(self._engine):
            speed = self._speeds.setdefault(name, Speed(at=self._begun))
            found.append(
                Worker(name, up, stats.running, stats.waiting, float(f"{speed.read(stats.sampled_tokens, now):.3g}"))
            )
        return found


def _readings(engine: Engine) -> Iterator[tuple[str, bool, EngineStats]]:
    """Of each engine the name, whether it is up, and its counters."""
    if isinstance(engine, LocalEngine):
        yield "embedded", True, engine.counters
    elif isinstance(engine, Pool):
        for member in engine.members:
            yield member.name, member.up.is_set(), member.seen
