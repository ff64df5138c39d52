"""Serving HTTP applications from the command line."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from espalier.core.sockets import address, listening

if TYPE_CHECKING:
    from aiohttp import web


def serve_beside(app: web.Application, other: web.Application, host: str, port: int, what: str) -> None:
    """Serve `other` for as long as `app` runs."""
    from aiohttp import web

    bound = listening(host, port)

    async def beside(app: web.Application) -> AsyncIterator[None]:
        runner = web.AppRunner(other, access_log=None)
        await runner.setup()
        await web.SockSite(runner, bound).start()
        yield
        await runner.cleanup()

    app.cleanup_ctx.append(beside)
    print(f"{what} on {address(bound, host)}", flush=True)


def serve_app(app: web.Application, host: str, port: int, what: str) -> None:
    """Until interrupted; on the quicker event loop where that is to be had, which is everywhere but on Windows."""
    from aiohttp import web

    loop = asyncio.new_event_loop()
    with contextlib.suppress(ImportError):
        import uvloop

        loop = uvloop.new_event_loop()
    bound = listening(host, port)
    print(f"{what} on {address(bound, host)}", flush=True)
    web.run_app(app, sock=bound, print=None, access_log=None, handler_cancellation=True, loop=loop)
