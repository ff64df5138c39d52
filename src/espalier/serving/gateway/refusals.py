"""Errors in OpenAI's format, including those that the web framework raises."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

log = logging.getLogger("espalier.gateway")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
INVALID, UNAVAILABLE, ENGINE = "invalid_request_error", "unavailable", "engine_error"
"""Error types."""


def error_body(message: str, kind: str, code: str | None = None) -> dict[str, dict[str, str | None]]:
    """The JSON object of an error."""
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def refuse(
    status: int, message: str, kind: str = INVALID, *, code: str | None = None, headers: Mapping[str, str] | None = None
) -> web.Response:
    """The response with an error."""
    return web.json_response(error_body(message, kind, code), status=status, headers=headers)


@web.middleware
async def shaped(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Middleware that converts errors of aiohttp, and unexpected errors, to OpenAI's format."""
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge:
        return refuse(413, f"the body has more than the {request.client_max_size} bytes allowed", code="body_too_large")
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        message = f"{request.path} takes {allowed}, not {request.method}"
        return refuse(405, message, code="method_not_allowed", headers={"Allow": allowed})
    except web.HTTPNotFound:
        return refuse(404, f"there is nothing at {request.path}", code="not_found")
    except Exception:
        log.exception("%s %s", request.method, request.path)
        return refuse(500, "the gateway failed; its log says how", "server_error")
