"""The HTTP side: what clients and operators call."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from time import monotonic
from typing import Any

import aiohttp
from aiohttp import web

from espalier.serving.core.types import Report
from espalier.serving.gateway.config import GatewayConfig
from espalier.serving.gateway.dispatcher import Dispatcher, OverloadedError
from espalier.serving.gateway.measures import Measures
from espalier.serving.gateway.proxy import Proxy
from espalier.serving.gateway.tokens import TokenEstimate, prefix_blocks

WATCH_SECONDS = 0.25
"""Between two looks of the watchdog."""


class Gateway:
    """The gateway as an aiohttp application: `web.run_app(Gateway(config).app, handler_cancellation=True)`."""

    def __init__(self, config: GatewayConfig) -> None:
        self.config = config
        self.estimate = TokenEstimate(config.bytes_per_token)
        self.app = web.Application(client_max_size=config.body_bytes)
        self.app.cleanup_ctx.append(self._run)
        for path in ("/v1/chat/completions", "/v1/completions"):
            self.app.router.add_post(path, self._generate)
        self.app.router.add_get("/v1/models", self._models)
        self.app.router.add_get("/health", self._health)
        self.app.router.add_get("/ready", self._ready)
        self.app.router.add_get("/metrics", self._metrics)
        self.app.router.add_get("/admin/state", self._state)
        self.app.router.add_post("/admin/drain/{instance}", self._drain)
        self.app.router.add_post("/admin/undrain/{instance}", self._drain)

    async def _run(self, app: web.Application) -> AsyncIterator[None]:
        self.dispatcher = Dispatcher(self.config)
        self.measures = Measures(self.dispatcher)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=5.0)
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30.0)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector, auto_decompress=False) as session:
            self.session = session
            self.proxy = Proxy(session, self.config, self.dispatcher, self.measures, self.estimate)
            work = [self._watch(), *(self._listen(k) for k, tells in enumerate(self.dispatcher.tells) if tells)]
            tasks = [asyncio.create_task(one) for one in work]
            yield
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.read()
            asked = json.loads(body)
            if not isinstance(asked, dict):
                raise ValueError("the body is not an object")
            tokens, text = self.estimate.tokens(asked)
        except (ValueError, AttributeError, TypeError) as error:
            return refuse(400, "invalid_request_error", f"the body is not a completion request: {error}")
        try:
            ticket = self.dispatcher.submit(tokens, priority=_priority(asked), blocks=self._blocks(asked))
        except OverloadedError as error:
            self.measures.requests.labels("refused").inc()
            return refuse(429, "overloaded", str(error), {"Retry-After": str(max(round(error.retry_after), 1))})
        try:
            return await self.proxy.answer(request, body, ticket, text)
        finally:
            self.dispatcher.release(ticket)

    def _blocks(self, asked: dict[str, Any]) -> tuple[int, ...]:
        prefix = self.config.scheduler.prefix
        return () if prefix is None else prefix_blocks(asked, round(prefix.block * self.config.bytes_per_token))

    async def _models(self, request: web.Request) -> web.StreamResponse:
        for number in self.dispatcher.pool.ready:
            url = self.config.targets[number].urls[0].rstrip("/") + "/v1/models"
            with suppress(aiohttp.ClientError, TimeoutError):
                async with self.session.get(url, timeout=aiohttp.ClientTimeout(total=5.0)) as answer:
                    return web.Response(body=await answer.read(), status=answer.status, content_type="application/json")
        return refuse(503, "unavailable", "no engine is ready")

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _ready(self, request: web.Request) -> web.Response:
        ready = len(self.dispatcher.pool.ready)
        return web.json_response({"ready": ready}, status=200 if ready else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self.measures.page(), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _state(self, request: web.Request) -> web.Response:
        state = self.dispatcher.state()
        return web.json_response({**state, "bytes_per_token": self.estimate.bytes_per_token})

    async def _drain(self, request: web.Request) -> web.Response:
        name = request.match_info["instance"]
        if not name.isdigit() or int(name) >= len(self.config.targets):
            return refuse(404, "not_found", f"there is no instance {name}; there are {len(self.config.targets)}")
        self.dispatcher.drain(int(name), "/undrain/" not in request.path)
        return web.json_response(self.dispatcher.state()["instances"][int(name)])

    async def _watch(self) -> None:
        """Leave silent instances alone; look whether those left alone are back."""
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            for number in self.dispatcher.suspects():
                if not await self._healthy(number):
                    self.dispatcher.failed(number, final=True)
                else:
                    self.dispatcher.mirrors[number].heard = monotonic()
            for number, breaker in enumerate(self.dispatcher.breakers):
                if breaker.may_try(monotonic()) and await self._healthy(number):
                    breaker.succeeded()
                    self.dispatcher.revive(number)

    async def _healthy(self, number: int) -> bool:
        try:
            for url in self.config.targets[number].urls:
                where = url.rstrip("/") + "/health"
                async with self.session.get(where, timeout=aiohttp.ClientTimeout(total=2.0)) as answer:
                    if answer.status != 200:
                        return False
        except (aiohttp.ClientError, TimeoutError, OSError):
            return False
        return True

    async def _listen(self, number: int) -> None:
        """Hear what an engine tells of its passes, for as long as it lives."""
        url = self.config.targets[number].urls[0].rstrip("/") + "/engine/events"
        while True:
            with suppress(aiohttp.ClientError, TimeoutError, OSError, ValueError, KeyError):
                async with self.session.get(url) as answer:
                    async for line in answer.content:
                        if line.startswith(b"data:"):
                            self.dispatcher.hear(number, Report(**json.loads(line[5:])))
            await asyncio.sleep(1.0)


def refuse(status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """An error as OpenAI's API has it."""
    return web.json_response({"error": {"message": message, "type": kind}}, status=status, headers=headers)


def _priority(asked: dict[str, Any]) -> int:
    value = asked.get("priority", 0)
    return value if isinstance(value, int) else 0
