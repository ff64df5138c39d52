"""The HTTP side: what clients and operators call."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

import aiohttp
from aiohttp import web

from espalier.serving.gateway.adapters import DEADLINE_HEADER, asked, end_to_end
from espalier.serving.gateway.admin import instance_state, state_of
from espalier.serving.gateway.config import GatewayConfig
from espalier.serving.gateway.dispatcher import Dispatcher
from espalier.serving.gateway.events import report_of
from espalier.serving.gateway.measures import Measures
from espalier.serving.gateway.proxy import Proxy
from espalier.serving.gateway.ticket import OverloadedError
from espalier.serving.gateway.tokens import TokenEstimate, prefix_blocks
from espalier.serving.gateway.watch import Watch

log = logging.getLogger("espalier.gateway")
LISTEN_SECONDS = 0.5
"""Until an engine that stopped telling of its passes is listened to again; meanwhile they are inferred."""


class Gateway:
    """The gateway as an aiohttp application: `web.run_app(Gateway(config).app, handler_cancellation=True)`."""

    def __init__(self, config: GatewayConfig) -> None:
        self.config = config
        self.estimate = TokenEstimate(config.bytes_per_token, tokenizer=config.tokenizer)
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
        async with aiohttp.ClientSession(
            timeout=timeout,
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),  # clients' cookies are their own
            auto_decompress=False,
            skip_auto_headers=("Accept", "Accept-Encoding", "User-Agent", "Content-Type"),
        ) as session:
            self.session = session
            self.proxy = Proxy(session, self.config, self.dispatcher, self.measures, self.estimate)
            telling = (number for number, target in enumerate(self.config.targets) if target.kind == "events")
            watch = Watch(session, self.config, self.dispatcher)
            work = [watch.run(), *map(self._listen, telling)]
            tasks = [asyncio.create_task(one) for one in work]
            yield
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await request.read()
            said = json.loads(body)
            if not isinstance(said, dict):
                raise ValueError("the body is not an object")
            prompt = self.estimate.of(said)
            limit = min(_seconds(request.headers.get(DEADLINE_HEADER)), self.config.deadline_seconds)
        except (ValueError, AttributeError, TypeError, RecursionError) as error:
            self.measures.requests.labels("bad").inc()
            return refuse(400, "invalid_request_error", f"this is not a completion request: {error}")
        if len(self.dispatcher.drained) == len(self.config.targets):
            self.measures.requests.labels("refused").inc()
            return refuse(503, "unavailable", "all instances are drained")
        try:
            ticket = self.dispatcher.submit(
                prompt, streamed=said.get("stream") is True, priority=_priority(said), blocks=self._blocks(said)
            )
        except OverloadedError as error:
            self.measures.requests.labels("refused").inc()
            return refuse(429, "overloaded", str(error), {"Retry-After": f"{error.retry_after:.0f}"})
        try:
            return await self.proxy.answer(request, body, ticket, limit)
        finally:
            self.dispatcher.release(ticket)

    def _blocks(self, said: Mapping[str, Any]) -> tuple[int, ...]:
        prefix = self.config.scheduler.prefix
        return () if prefix is None else prefix_blocks(said, round(prefix.block * self.config.bytes_per_token))

    async def _models(self, request: web.Request) -> web.StreamResponse:
        for number in self.dispatcher.pool.ready:
            url = self.config.targets[number].urls[0].rstrip("/") + "/v1/models"
            with suppress(aiohttp.ClientError, TimeoutError):
                limit, headers = aiohttp.ClientTimeout(total=5.0), asked(request.headers)
                async with self.session.get(url, timeout=limit, headers=headers, allow_redirects=False) as answer:
                    back = {name: value for name, value in end_to_end(answer.headers) if name.lower() != "set-cookie"}
                    return web.Response(body=await answer.read(), status=answer.status, headers=back)
        return refuse(503, "unavailable", "no engine is ready")

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _ready(self, request: web.Request) -> web.Response:
        ready = len(self.dispatcher.pool.ready)
        return web.json_response({"ready": ready}, status=200 if ready else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self.measures.page(), headers={"Content-Type": "text/plain; version=0.0.4"})

    async def _state(self, request: web.Request) -> web.Response:
        state = state_of(self.dispatcher)
        return web.json_response({**state, "bytes_per_token": self.estimate.bytes_per_token})

    async def _drain(self, request: web.Request) -> web.Response:
        name = request.match_info["instance"]
        if not name.isdigit() or int(name) >= len(self.config.targets):
            return refuse(404, "not_found", f"there is no instance {name}; there are {len(self.config.targets)}")
        self.dispatcher.drain(int(name), "/undrain/" not in request.path)
        return web.json_response(instance_state(self.dispatcher, int(name)))

    async def _listen(self, number: int) -> None:
        """Hear what an engine tells of its passes, for as long as it lives."""
        url = self.config.targets[number].urls[0].rstrip("/") + "/engine/events"
        ranks = self.config.targets[number].ranks
        while True:
            try:
                async with self.session.get(url) as answer:
                    async for line in answer.content:
                        if (report := report_of(line, ranks)) is not None:
                            self.dispatcher.listening(number, True)
                            self.dispatcher.hear(number, report)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                log.warning("instance %d does not tell of its passes: %s %s", number, type(error).__name__, error)
            self.dispatcher.listening(number, False)
            await asyncio.sleep(LISTEN_SECONDS)


def refuse(status: int, kind: str, message: str, headers: dict[str, str] | None = None) -> web.Response:
    """An error as OpenAI's API has it."""
    return web.json_response({"error": {"message": message, "type": kind}}, status=status, headers=headers)


def _priority(said: Mapping[str, Any]) -> int:
    value = said.get("priority", 0)
    return value if isinstance(value, int) else 0


def _seconds(header: str | None) -> float:
    """A deadline; infinite where there is none. Raises ValueError where it is no number above 0."""
    seconds = float("inf") if header is None else float(header)
    if not seconds > 0.0:
        raise ValueError(f"{DEADLINE_HEADER} is a number of seconds above 0, not {header}")
    return seconds
