"""Runs the server, from a bound socket to a clean shutdown."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence

import uvicorn

from espalier.core.errors import EspalierError
from espalier.engine.server.app import build_app
from espalier.engine.server.service import Service

_KEEP_ALIVE = 75
"""Seconds that an idle connection stays open: longer than clients keep theirs, so none is closed under a request."""

_GOODBYE = 5
"""Seconds beyond the grace in which errors reach clients; who does not read them is cut off."""


def run(service: Service, bound: socket.socket, *, keys: Sequence[str], grace: int, greeting: str) -> None:
    """Serve on a bound socket until a signal; print `greeting` when requests are accepted.

    After the signal, new requests are rejected. Open requests may continue for `grace` seconds and then end with an
    error.
    """
    config = uvicorn.Config(
        build_app(service, keys=keys),
        access_log=False,  # a line for each request, if nobody reads them, fills a pipe and stops the server
        timeout_keep_alive=_KEEP_ALIVE,
        timeout_graceful_shutdown=grace + _GOODBYE,
    )
    try:
        _Server(config, service, grace, greeting).run(sockets=[bound])
    except OSError as error:
        raise EspalierError(f"cannot listen on port {bound.getsockname()[1]}: {error.strerror}") from None


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, service: Service, grace: int, greeting: str) -> None:
        super().__init__(config)
        self._service, self._grace, self._greeting = service, grace, greeting

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(self._greeting, flush=True)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        closing = asyncio.create_task(self._service.gate.close(self._grace))
        await super().shutdown(sockets)
        closing.cancel()  # a second signal ends the grace
