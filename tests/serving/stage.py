"""A gateway on real sockets, in front of engines that are small applications which act out a fault."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from time import monotonic
from typing import Any

import aiohttp
from aiohttp import web
from sockets import served

from espalier.serving.config import SchedulerConfig
from espalier.serving.gateway.app import Gateway
from espalier.serving.gateway.config import GatewayConfig, TargetConfig
from espalier.serving.gateway.fake import FakeEngine, FakeSettings
from espalier.serving.model.steptime import PrefillTime

QUICK = PrefillTime(base=0.02, per_token=1e-4, chunk=100)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Stage:
    """Engines, a gateway in front of them, and a client of it."""

    def __init__(self, stack: AsyncExitStack, session: aiohttp.ClientSession) -> None:
        self.stack, self.session = stack, session
        self.url, self.gateway = "", None

    async def engine(self, generate: Handler | None = None, health: Handler | None = None, **gets: Handler) -> str:
        """A scripted engine, or a fake one that does as it should."""
        if generate is None:
            return (await self.stack.enter_async_context(served(FakeEngine(FakeSettings(2, QUICK)).app)))[0]
        app = web.Application()
        app.router.add_post("/v1/completions", generate)
        app.router.add_get("/health", health or well)
        for name, handler in gets.items():
            app.router.add_get(name, handler)
        return (await self.stack.enter_async_context(served(app)))[0]

    async def front(self, *urls: str, kind: str = "vllm", policy: str = "sbs", **config: Any) -> Gateway:
        targets = tuple(TargetConfig(urls=(url,), ranks=2, kind=kind) for url in urls)
        scheduler = SchedulerConfig(policy=policy)
        self.gateway = Gateway(
            GatewayConfig(targets=targets, prefill=QUICK, bytes_per_token=2.0, scheduler=scheduler, **config)
        )
        self.url = (await self.stack.enter_async_context(served(self.gateway.app)))[0]
        return self.gateway

    async def ask(self, words: int = 20, **more: Any) -> tuple[int, bytes]:
        body = {"prompt": "w " * words, "max_tokens": 1, **more}
        async with self.session.post(f"{self.url}/v1/completions", json=body) as answer:
            return answer.status, await answer.read()

    def alive(self) -> list[bool]:
        assert self.gateway is not None
        return [one.alive for one in self.gateway.dispatcher.pool.instances]


def on_stage(play: Callable[[Stage], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(aiohttp.ClientSession())
            await asyncio.wait_for(play(Stage(stack, session)), 40)

    asyncio.run(whole())


async def well(request: web.Request) -> web.Response:
    return web.json_response({})


async def silent(request: web.Request) -> web.Response:
    await asyncio.sleep(60)
    return web.Response()


async def events(request: web.Request, *parts: bytes, pause: float = 0.03) -> web.StreamResponse:
    """A stream of the bytes given, each in a write of its own."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for part in parts:
        await response.write(part)
        await asyncio.sleep(pause)
    await response.write_eof()
    return response


async def until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    end = monotonic() + seconds
    while not true():
        assert monotonic() < end, "it never came true"
        await asyncio.sleep(0.05)


def error_of(stream: bytes) -> str:
    """The message of the error event that a stream ends with; it has no `[DONE]`."""
    *events, end = stream.split(b"\n\n")
    assert end == b""
    assert b"data: [DONE]" not in events
    return str(json.loads(events[-1].removeprefix(b"data: "))["error"]["message"])
