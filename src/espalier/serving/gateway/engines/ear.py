"""The connection to an engine of the kind `events`, which reports its passes."""

from __future__ import annotations

import asyncio
import logging

import aiohttp

from espalier.serving.gateway.config import GatewayConfig
from espalier.serving.gateway.dispatcher import Dispatcher
from espalier.serving.gateway.engines.adapters import key_header
from espalier.serving.gateway.events import report_of

log = logging.getLogger("espalier.gateway")
LISTEN_SECONDS = 0.5
"""Seconds before reconnecting to an engine whose event stream broke. Until then, its passes are inferred."""


class Ear:
    """Start `run` as a task. `renew` replaces a connection whose other end may have disappeared: such a connection is
    silent, like that of an idle engine.
    """

    def __init__(
        self, session: aiohttp.ClientSession, config: GatewayConfig, dispatcher: Dispatcher, number: int
    ) -> None:
        self.session, self.config, self.dispatcher, self.number = session, config, dispatcher, number
        self._patience: asyncio.Timeout | None = None

    async def run(self) -> None:
        """Connect again and again."""
        while True:
            try:
                async with asyncio.timeout(None) as self._patience:
                    await self._listen()
            except (aiohttp.ClientError, OSError, ValueError) as error:
                log.warning("instance %d does not tell of its passes: %s %s", self.number, type(error).__name__, error)
            finally:
                self._patience = None
            self.dispatcher.listening(self.number, False)
            await asyncio.sleep(LISTEN_SECONDS)

    def renew(self) -> None:
        """Close this connection and open another."""
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(0.0)

    async def _listen(self) -> None:
        target = self.config.targets[self.number]
        url = target.urls[0].rstrip("/") + "/engine/events"
        async with self.session.get(url, headers=key_header(self.config)) as answer:
            async for line in answer.content:
                if (report := report_of(line, target.ranks)) is not None:
                    self.dispatcher.listening(self.number, True)
                    self.dispatcher.hear(self.number, report)
