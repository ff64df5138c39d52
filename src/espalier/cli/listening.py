"""Serving HTTP applications from the command line."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from espalier.core.errors import EspalierError

if TYPE_CHECKING:
    from aiohttp import web


def serve_beside(app: web.Application, other: web.Application, host: str, port: int, what: str) -> None:
    """Serve `other` for as long as `app` runs."""
    from aiohttp import web

    listening = _listening(host, port)

    async def beside(app: web.Application) -> AsyncIterator[None]:
        runner = web.AppRunner(other, access_log=None)
        await runner.setup()
        await web.SockSite(runner, listening).start()
        yield
        await runner.cleanup()

    app.cleanup_ctx.append(beside)
    print(f"{what} on {_url(listening)}", flush=True)


def serve_app(app: web.Application, host: str, port: int, what: str) -> None:
    """Until interrupted; on the quicker event loop where that is to be had, which is everywhere but on Windows."""
    from aiohttp import web

    loop = asyncio.new_event_loop()
    with contextlib.suppress(ImportError):
        import uvloop

        loop = uvloop.new_event_loop()
    listening = _listening(host, port)
    print(f"{what} on {_url(listening)}", flush=True)
    web.run_app(app, sock=listening, print=None, access_log=None, handler_cancellation=True, loop=loop)


def _url(listening: socket.socket) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _listening(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises EspalierError where the address is not to be had."""
    if not 0 <= port <= 65535:
        raise EspalierError(f"port {port}: ports are 0 (any free one) to 65535")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
    except OSError as error:
        raise EspalierError(f"cannot listen on {host}:{port} ({error.strerror}): set another host or port") from None
    return listening
