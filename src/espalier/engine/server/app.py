"""The HTTP side: routes, and noticing that a client has gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from espalier.engine.server.chat import chat_job
from espalier.engine.server.completions import completion_job
from espalier.engine.server.errors import ApiError, answer
from espalier.engine.server.requests import ChatRequest, CompletionRequest
from espalier.engine.server.service import Job, Service

Body = TypeVar("Body", bound=BaseModel)
Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]


def build_app(service: Service) -> Starlette:
    """The application. Errors of any kind are answered in OpenAI's shape."""

    async def models(_: Request) -> Response:
        return JSONResponse({"object": "list", "data": [_model(service)]})

    async def model(request: Request) -> Response:
        if request.path_params["name"] != service.name:
            raise ApiError(f"there is no model {request.path_params['name']!r}", status=404, code="model_not_found")
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
    return Starlette(routes=routes, exception_handlers={Exception: answer, ApiError: answer, HTTPException: _no_route})


def _endpoint(service: Service, kind: type[Body], make: Callable[[Body, Service], Job]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            job = make(kind.model_validate_json(await request.body()), service)
            if job.streamed:
                return StreamingResponse(job.events(service.engine), media_type="text/event-stream")
            return await _unless_gone(request, job, service)
        except Exception as error:
            return await answer(request, error)

    return endpoint


async def _unless_gone(request: Request, job: Job, service: Service) -> Response:
    """The whole answer; if the client goes away first, the request leaves the engine."""
    work = asyncio.create_task(job.answer(service.engine))
    gone = asyncio.create_task(_disconnected(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        return JSONResponse(work.result()) if work.done() else Response(status_code=499)
    finally:
        for task in (work, gone):
            task.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}"
    return await answer(request, ApiError(message, status=error.status_code))


def _model(service: Service) -> dict[str, Any]:
    return {"id": service.name, "object": "model", "created": service.created, "owned_by": "espalier"}
