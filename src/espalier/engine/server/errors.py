"""Errors in OpenAI's format: `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse

from espalier.core.errors import DataError, EngineError, EspalierError

_log = logging.getLogger("espalier.serve")
_TYPES = {401: "authentication_error", 429: "rate_limit_error"}
_LONGEST = 500
"""Characters of a client's own words in an answer."""


class ApiError(EspalierError):
    """An error that is answered with `status` and an error object."""

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code, self.headers = status, param, code, headers

    @property
    def body(self) -> dict[str, object]:
        """The JSON answer."""
        kind = _TYPES.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        message = str(self).encode(errors="replace").decode()
        return {"error": {"message": message, "type": kind, "param": self.param, "code": self.code}}


def as_api_error(error: Exception) -> ApiError:
    """The error for the client: user errors with their full message, internal errors only with their kind."""
    match error:
        case ApiError():
            return error
        case ValidationError():
            return _invalid(error)
        case ClientDisconnect():
            return ApiError("the client has gone", status=499)
        case HTTPException():
            return ApiError(error.detail, status=error.status_code, headers=error.headers)
        case EngineError(retryable=True):
            return ApiError(str(error), status=503)
        case DataError() | EngineError():
            return ApiError(str(error))
        case _:
            _log.error("a request failed", exc_info=error)
            return ApiError(f"the server failed: {type(error).__name__}", status=500)


def _invalid(error: ValidationError) -> ApiError:
    first = error.errors(include_url=False, include_input=False)[0]
    param = ".".join(str(part) for part in first["loc"])[:_LONGEST]
    match first["type"]:
        case "extra_forbidden":
            message = "this server does not know the field: leave it out"
        case "missing":
            message = "the field is missing"
        case _:
            message = first["msg"].removeprefix("Value error, ")[:_LONGEST]
    return ApiError(f"{param or 'body'}: {message}", param=param or None)


async def answer(request: Request, error: Exception) -> JSONResponse:
    """Starlette's exception handler."""
    told = as_api_error(error)
    return JSONResponse(told.body, told.status, headers=told.headers)
