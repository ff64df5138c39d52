"""Errors in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`."""

from __future__ import annotations

from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse

from espalier.core.errors import DataError, EngineError, EspalierError


class ApiError(EspalierError):
    """A request that is answered with `status` and an error object."""

    def __init__(self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code

    @property
    def body(self) -> dict[str, object]:
        """The JSON answer."""
        kind = "invalid_request_error" if self.status < 500 else "server_error"
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


def as_api_error(error: Exception) -> ApiError:
    """What the client is told: the caller's own mistakes in full, a failure of ours by its kind."""
    match error:
        case ApiError():
            return error
        case ValidationError():
            first = error.errors(include_url=False)[0]
            param = ".".join(str(part) for part in first["loc"])
            return ApiError(f"{param or 'body'}: {first['msg']}", param=param or None)
        case EngineError(retryable=True):
            return ApiError(str(error), status=503)
        case DataError() | EngineError():
            return ApiError(str(error))
        case _:
            return ApiError(f"the server failed: {type(error).__name__}", status=500)


async def answer(request: Request, error: Exception) -> JSONResponse:
    """Starlette's exception handler."""
    told = as_api_error(error)
    return JSONResponse(told.body, told.status)
