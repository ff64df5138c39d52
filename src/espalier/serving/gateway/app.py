"""The HTTP side of the gateway: the endpoints for clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from typing import NamedTuple

import aiohttp
from aiohttp import web

from espalier.core.errors import DataError
from espalier.serving.gateway.admin import admin_app
from espalier.serving.gateway.client import has_key, patience, priority, read_body
from espalier.serving.gateway.config import GatewayConfig
from espalier.serving.gateway.dispatcher import Dispatcher
from espalier.serving.gateway.engines.adapters import asked, end_to_end
from espalier.serving.gateway.engines.ear import Ear
from espalier.serving.gateway.engines.watch import Watch
from espalier.serving.gateway.measures import Measures
from espalier.serving.gateway.proxy import Proxy
from espalier.serving.gateway.refusals import ENGINE, UNAVAILABLE, Handler, refuse, shaped
from espalier.serving.gateway.ticket import OverloadedError, close
from espalier.serving.gateway.tokens import Prompt, TokenEstimate, prefix_blocks

MODELS_SECONDS = 5.0
"""Timeout in seconds for the model list of one engine; then the next engine is asked."""


class Asked(NamedTuple):
    """What a request needs to be scheduled. limit: seconds that it may be held."""

    prompt: Prompt
    limit: float
    streamed: bool
    priority: int
    blocks: tuple[int, ...]


class Gateway:
    """The gateway as two aiohttp applications: `app` for clients, and `admin`, which shows and controls a running
    `app`.

    Run it with `web.run_app(Gateway(config).app, handler_cancellation=True)`.
    """

    def __init__(self, config: GatewayConfig) -> None:
        self.config = config
        self.estimate = TokenEstimate(config.bytes_per_token, tokenizer=config.tokenizer)
        self.app = web.Application(client_max_size=config.body_bytes, middlewares=[shaped, self._checked])
        self.app.cleanup_ctx.append(self._run)
        self.app.on_shutdown.append(self._close)
        for path in ("/v1/chat/completions", "/v1/completions"):
            self.app.router.add_post(path, self._generate)
        self.app.router.add_get("/v1/models", self._models)
        self.app.router.add_get("/v1/models/{name:.+}", self._model)
        self.app.router.add_get("/health", self._health)
        self.app.router.add_get("/ready", self._ready)
        self.app.router.add_get("/metrics", self._metrics)
        self.admin = admin_app(lambda: self.dispatcher, self.estimate)

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
            ears = {number: Ear(session, self.config, self.dispatcher, number) for number in telling}
            watch = Watch(session, self.config, self.dispatcher, ears)
            work = [watch.run(), *(ear.run() for ear in ears.values())]
            tasks = [asyncio.create_task(one) for one in work]
            yield
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _close(self, app: web.Application) -> None:
        await close(self.dispatcher.tickets, self.config.grace_seconds)

    @web.middleware
    async def _checked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """If there are API keys, requests under /v1 must carry one."""
        if not request.path.startswith("/v1/") or has_key(request.headers, self.config.api_keys):
            return await handler(request)
        self.measures.requests.labels("denied").inc()
        message, headers = "show one of the gateway's keys: Authorization: Bearer KEY", {"WWW-Authenticate": "Bearer"}
        return refuse(401, message, code="invalid_api_key", headers=headers)

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        try:
            body = await _body(request)
            asked_for = self._asked(request.headers, body)
        except (DataError, web.HTTPRequestEntityTooLarge) as error:
            self.measures.requests.labels("bad").inc()
            if isinstance(error, web.HTTPException):
                raise
            return refuse(400, str(error))
        if len(self.dispatcher.drained) == len(self.config.targets):
            self.measures.requests.labels("refused").inc()
            return refuse(503, "all instances are drained", UNAVAILABLE)
        prompt, limit, streamed, first, blocks = asked_for
        try:
            ticket = self.dispatcher.submit(prompt, streamed=streamed, priority=first, blocks=blocks)
        except OverloadedError as error:
            self.measures.requests.labels("refused").inc()
            return refuse(429, str(error), "overloaded", headers={"Retry-After": f"{error.retry_after:.0f}"})
        try:
            return await self.proxy.answer(request, body, ticket, limit)
        finally:
            self.dispatcher.release(ticket)

    def _asked(self, headers: Mapping[str, str], body: bytes) -> Asked:
        """The scheduling fields of a request. Raises DataError that names the field that is wrong."""
        said, prefix = read_body(body), self.config.scheduler.prefix
        limit = min(patience(headers), self.config.deadline_seconds)
        size = 0 if prefix is None else round(prefix.block * self.config.bytes_per_token)
        blocks = prefix_blocks(said, size) if size else ()
        return Asked(self.estimate.of(said), limit, said.get("stream") is True, priority(said), blocks)

    async def _models(self, request: web.Request) -> web.Response:
        """The model list of the first engine that returns one."""
        for number in self.dispatcher.pool.ready:
            url = self.config.targets[number].urls[0].rstrip("/") + "/v1/models"
            limit, headers = aiohttp.ClientTimeout(total=MODELS_SECONDS), asked(request.headers, self.config)
            with suppress(aiohttp.ClientError, TimeoutError):
                async with self.session.get(url, timeout=limit, headers=headers, allow_redirects=False) as answer:
                    back = {name: value for name, value in end_to_end(answer.headers) if name.lower() != "set-cookie"}
                    return web.Response(body=await answer.read(), status=answer.status, headers=back)
        return refuse(503, "no engine is ready", UNAVAILABLE)

    async def _model(self, request: web.Request) -> web.Response:
        """One entry of the model list: not every engine has an endpoint for a single model."""
        name, answer = request.match_info["name"], await self._models(request)
        if answer.status != 200 or not isinstance(answer.body, bytes):
            return answer
        try:
            models = {one["id"]: one for one in json.loads(answer.body)["data"]}
        except (ValueError, TypeError, KeyError, RecursionError):
            return refuse(502, "the engine's list of models makes no sense", ENGINE)
        if name not in models:
            return refuse(404, f"the model {name!r} does not exist", code="model_not_found")
        return web.json_response(models[name])

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _ready(self, request: web.Request) -> web.Response:
        ready = len(self.dispatcher.pool.ready)
        return web.json_response({"ready": ready}, status=200 if ready else 503)

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self.measures.page(), headers={"Content-Type": "text/plain; version=0.0.4"})


async def _body(request: web.Request) -> bytes:
    """The decompressed body. Raises DataError if it is not encoded as its headers state."""
    try:
        return await request.read()
    except (aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError, web.RequestPayloadError) as error:
        raise DataError(f"the body cannot be read: {error}") from None
