"""A server of another project's protocol over embedded engines: real tokens and log-probs, on a socket of loopback."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import torch
from aiohttp import web
from engine_models import engine

from espalier.core.errors import EngineError
from espalier.engine.local import LocalEngine
from espalier.lm.decoder import Decoder

STEP_SECONDS = 0.002
Change = Callable[[str, Any], Any]
"""What a fake does to the answer at a path."""


class RefusalError(Exception):
    """An answer with an error status."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class EmbeddedServer:
    """Answers the paths of `routes`. asked: the path and the body of every request, in order."""

    def __init__(self, model: Decoder, change: Change = lambda path, answer: answer) -> None:
        self.model, self.change = model, change
        self.base = slow(model)
        self.asked: list[tuple[str, Any]] = []
        self.keys: set[str] = set()
        """What was sent as `Authorization`."""

    @property
    def routes(self) -> dict[str, Callable[[Any], Awaitable[Any]]]:
        raise NotImplementedError

    async def answer(self, request: web.Request) -> web.Response:
        text = await request.text()
        body = json.loads(text) if text else None
        self.asked.append((request.path_qs, body))
        self.keys.add(request.headers.get("Authorization", ""))
        try:
            found = self.routes.get(request.path_qs)
            if found is None:
                raise RefusalError(404, f"there is no {request.path_qs}")
            answer = self.change(request.path_qs, await found(body))
            return web.Response(text=answer) if isinstance(answer, str) else web.json_response(answer)
        except RefusalError as error:
            return web.json_response({"message": str(error)}, status=error.status)
        except EngineError as error:
            return web.json_response({"message": str(error)}, status=400)


def slow(model: Decoder) -> LocalEngine:
    """An engine that is slow enough to be interrupted."""
    local = engine(model, weights="copy")
    forward = local._stepper.runner.forward

    def later(*args: Any) -> torch.Tensor:
        time.sleep(STEP_SECONDS)
        return forward(*args)

    local._stepper.runner.forward = later  # type: ignore[method-assign]
    return local


def known(body: Any, *names: str) -> None:
    """Refuse a body that has other fields, or is none."""
    if not isinstance(body, dict) or (odd := body.keys() - set(names)):
        raise RefusalError(422, f"unknown fields: {sorted(odd) if isinstance(body, dict) else body}")


async def unless_aborted(task: asyncio.Task[Any]) -> Any:
    """The task's result; None if it was cancelled. It goes on where who waits for it is cancelled."""
    await asyncio.wait({task})
    return None if task.cancelled() else task.result()


def spanned(versions: Sequence[int], labels: Mapping[int, str]) -> list[dict[str, Any]]:
    """The spans of equal versions, as vLLM and SGLang tell them."""
    starts = [i for i, version in enumerate(versions) if i == 0 or version != versions[i - 1]]
    ends = [*starts[1:], len(versions)]
    return [{"version": labels[versions[a]], "start": a, "end": b} for a, b in zip(starts, ends, strict=True)]
