"""The HTTP side: routes, keys, and detection of disconnected clients."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable, Coroutine, Sequence
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from espalier.core.io import strict_json
from espalier.engine.server.chat import chat_job
from espalier.engine.server.completions import completion_job
from espalier.engine.server.errors import ApiError, answer
from espalier.engine.server.gate import Ticket
from espalier.engine.server.requests import ChatRequest, CompletionRequest
from espalier.engine.server.service import Job, Service

_log = logging.getLogger("espalier.serve")
Body = TypeVar("Body", bound=BaseModel)
Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]
BODY_BYTES = 8 * 2**20
"""Largest request body. Reading one takes about half a second, during which other requests wait."""

SLOWEST = 60.0
"""Seconds in which a client must read a part of a stream. Otherwise it is disconnected, because it would keep its
row."""

_DISCARDED = 8
"""Times `BODY_BYTES` that are read and dropped, so that a client that sends more reads the answer."""


def build_app(service: Service, *, keys: Sequence[str] = ()) -> Starlette:
    """The application. All errors are answered in OpenAI's format. With `keys`, a request must carry one."""

    async def models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": [_model(service)]})

    async def model(request: Request) -> Response:
        if request.path_params["name"] != service.name:
            message = f"there is no model {request.path_params['name'][:200]!r}; this server has {service.name!r}"
            raise ApiError(message, status=404, param="model", code="model_not_found")
        return JSONResponse(_model(service))

    async def health(_: Request) -> Response:
        stats = await service.engine.stats()
        return JSONResponse({"status": "ok", "running": stats.running, "waiting": stats.waiting})

    routes = [
        Route("/v1/chat/completions", _endpoint(service, ChatRequest, chat_job), methods=["POST"]),
        Route("/v1/completions", _endpoint(service, CompletionRequest, completion_job), methods=["POST"]),
        Route("/v1/models", models),
        Route("/v1/models/{name:path}", model),
        Route("/health", health),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(_Keys, keys=[key.encode() for key in keys])] if keys else [],
        exception_handlers={Exception: answer, ApiError: answer, HTTPException: _no_route},
    )


def _endpoint(service: Service, kind: type[Body], make: Callable[[Body, Service], Job]) -> Endpoint:
    def read(body: bytes) -> Job:
        try:
            content = strict_json.loads(body, most=strict_json.BODY_PARTS)
        except ValueError as error:
            raise ApiError(f"the body is not valid JSON: {error}") from None
        return make(kind.model_validate(content), service)

    async def endpoint(request: Request) -> Response:
        try:
            service.gate.check()
            job = await asyncio.to_thread(read, await _body(request))
            ticket = service.gate.enter(len(job.choices))
            if job.streamed:
                return _Events(job, service, ticket)
            return await _unless_gone(request, job, service, ticket)
        except Exception as error:
            return await answer(request, error)

    return endpoint


async def _body(request: Request) -> bytes:
    """The request's body. Raises ApiError where it is too long."""
    parts, size = list[bytes](), 0
    async for part in request.stream():
        size += len(part)
        if size <= BODY_BYTES:
            parts.append(part)
        elif size > _DISCARDED * BODY_BYTES:
            break
    if size > BODY_BYTES:
        raise ApiError(f"the body has {size} bytes or more, at most {BODY_BYTES} are read", status=413)
    return b"".join(parts)


class _Events(StreamingResponse):
    """A stream of events; its request leaves the engine when it ends, in whatever way, or its client takes nothing."""

    def __init__(self, job: Job, service: Service, ticket: Ticket) -> None:
        self._events, self._ticket = job.events(service.engine, ticket), ticket
        super().__init__(self._events, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            try:
                await asyncio.wait_for(send(message), SLOWEST)
            except TimeoutError:
                _log.warning("a client took nothing of its stream for %g seconds", SLOWEST)
                raise ClientDisconnect from None

        try:
            with suppress(ClientDisconnect):
                async with aclosing(self._events):
                    await super().__call__(scope, receive, send_in_time)
        finally:
            self._ticket.leave()


async def _unless_gone(request: Request, job: Job, service: Service, ticket: Ticket) -> Response:
    """The whole answer; if the client goes away first, the request leaves the engine."""
    work = asyncio.create_task(job.answer(service.engine, ticket))
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        return JSONResponse(work.result()) if work.done() else Response(status_code=499)
    finally:
        for task in (work, gone):
            task.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)
        ticket.leave()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class _Keys:
    """Lets nobody in without a key, but for `/health`."""

    def __init__(self, app: ASGIApp, keys: Sequence[bytes]) -> None:
        self._app, self._keys = app, keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == "/health" or self._known(dict(scope["headers"])):
            await self._app(scope, receive, send)
            return
        error = ApiError(
            "this server wants an API key, and the request brings none that it knows: Authorization: Bearer KEY",
            status=401,
            code="invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )
        response = await answer(Request(scope), error)
        await response(scope, receive, send)

    def _known(self, headers: dict[bytes, bytes]) -> bool:
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        matches = [hmac.compare_digest(given.strip(), key) for key in self._keys]
        return scheme.lower() == b"bearer" and any(matches)


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path[:200]}: {error.detail}"
    return await answer(request, ApiError(message, status=error.status_code, headers=error.headers))


def _model(service: Service) -> dict[str, Any]:
    return {"id": service.name, "object": "model", "created": service.created, "owned_by": "espalier"}
