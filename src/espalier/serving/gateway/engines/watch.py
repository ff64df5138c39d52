"""The watchdog: health checks of all engines. It checks engines with overdue answers, engines under suspicion, engines
that were not checked for a while, and engines whose circuit breaker is open.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from enum import Enum, auto
from time import monotonic

import aiohttp

from espalier.serving.gateway.config import GatewayConfig
from espalier.serving.gateway.dispatcher import Dispatcher
from espalier.serving.gateway.engines.adapters import key_header
from espalier.serving.gateway.engines.ear import Ear

log = logging.getLogger("espalier.gateway")
LOOK_SECONDS = 0.25
"""Seconds between two rounds."""
PATIENCE = aiohttp.ClientTimeout(total=2.0)
MISSED = 2
"""Consecutive missed checks after which an instance is lost even if none of its answers is overdue."""


class Health(Enum):
    """The answer of an instance at /health."""

    WELL = auto()
    SILENT = auto()
    GONE = auto()


class Watch:
    """Start `run` as a task."""

    def __init__(
        self, session: aiohttp.ClientSession, config: GatewayConfig, dispatcher: Dispatcher, ears: Mapping[int, Ear]
    ) -> None:
        self.session, self.config, self.dispatcher, self.ears = session, config, dispatcher, ears
        self._missed: Counter[int] = Counter()
        self._next = [0.0] * len(config.targets)

    async def run(self) -> None:
        """Run round after round."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.round(monotonic())
            except Exception:  # whatever it was, the next round is needed all the more
                log.exception("a look at the engines failed")

    async def round(self, now: float) -> None:
        """Check all instances that are due."""
        dispatcher = self.dispatcher
        suspects = set(dispatcher.suspects())
        for number in dispatcher.doubted - suspects:
            dispatcher.doubt(number, False)
        numbers = [number for number in range(len(self._next)) if self._due(number, suspects, now)]
        for number, health in zip(numbers, await asyncio.gather(*map(self.ask, numbers)), strict=True):
            self._next[number] = monotonic() + self.config.retry_seconds
            self._judge(number, health, number in suspects)
        for number in dispatcher.deaf():
            self.ears[number].renew()

    async def ask(self, number: int) -> Health:
        """The health of an instance: the worst of its addresses."""
        for url in self.config.targets[number].urls:
            try:
                place = url.rstrip("/") + "/health"
                async with self.session.get(place, timeout=PATIENCE, headers=key_header(self.config)) as answer:
                    if answer.status != 200:
                        return Health.SILENT
            except aiohttp.ClientConnectorError:
                return Health.GONE
            except (aiohttp.ClientError, TimeoutError, OSError):
                return Health.SILENT
        return Health.WELL

    def _due(self, number: int, suspects: set[int], now: float) -> bool:
        dispatcher = self.dispatcher
        if dispatcher.breakers[number].open:
            return dispatcher.breakers[number].may_try(now)
        if number in dispatcher.unsure:
            dispatcher.unsure.discard(number)
            return True
        return now >= self._next[number] or (number in suspects and number not in dispatcher.doubted)

    def _judge(self, number: int, health: Health, suspected: bool) -> None:
        dispatcher = self.dispatcher
        if health is Health.WELL:
            self._missed[number] = 0
            if dispatcher.breakers[number].open:
                dispatcher.healthy(number)
            elif suspected:
                dispatcher.doubt(number, True)
            return
        self._missed[number] += 1
        if health is Health.GONE:
            dispatcher.failed(number, "nobody listens at its address", final=True)
        elif suspected or self._missed[number] >= MISSED:
            dispatcher.failed(number, "it owes answers, or is asked, and is silent", final=True)
        if not dispatcher.pool.instances[number].alive and number in self.ears:
            self.ears[number].renew()
