"""A fake engine with the real protocol: lock-step ranks, chunked prefill and streams, without a model.

Passes last as long as the step-time model predicts. A prompt has as many tokens as words. An answer names its request:
the engine's own number, and the client's X-Request-Id. For tests and demonstrations.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count
from secrets import token_hex
from time import monotonic, time
from typing import Any

from aiohttp import web

from espalier.serving.core.types import Report, Request
from espalier.serving.gateway.engines.adapters import BATCH_HEADER, NUMBER_HEADER, RANK_HEADER
from espalier.serving.gateway.refusals import refuse, shaped
from espalier.serving.model.lockstep import PrefillEngine
from espalier.serving.model.steptime import PrefillTime

MODEL = "fake"
ID_HEADER = "X-Request-Id"


@dataclass(frozen=True)
class FakeSettings:
    """ranks: number of ranks. time: step times of a pass. tpot: seconds between output tokens. gather: seconds that the
    engine waits before a pass for the next request of a batch (see X-Espalier-Batch), or for a refill after a report; 0
    for an engine that does not wait, like most engines.
    """

    ranks: int = 8
    time: PrefillTime = field(default_factory=PrefillTime)
    tpot: float = 0.02
    gather: float = 0.02


class FakeEngine:
    """Run it with `web.run_app(FakeEngine(settings).app, handler_cancellation=True)`."""

    def __init__(self, settings: FakeSettings) -> None:
        self.settings = settings
        self.engine = PrefillEngine(settings.ranks, settings.time)
        self.served = self.left = 0
        self.name = token_hex(4)
        self.app = web.Application(client_max_size=64 * 1024 * 1024, middlewares=[shaped])
        self.app.cleanup_ctx.append(self._run)
        self.app.router.add_post("/v1/completions", self._generate)
        self.app.router.add_post("/v1/chat/completions", self._generate)
        self.app.router.add_get("/v1/models", self._models)
        self.app.router.add_get("/health", self._health)
        self.app.router.add_get("/engine/events", self._events)
        self._numbers, self._told = count(), 0
        self._first: dict[int, asyncio.Event] = {}
        self._missing: dict[str, int] = {}
        self._listeners: set[asyncio.Queue[Report]] = set()

    async def _run(self, app: web.Application) -> AsyncIterator[None]:
        self._work, self._came = asyncio.Event(), asyncio.Event()
        task = asyncio.create_task(self._passes())
        yield
        task.cancel()

    async def _passes(self) -> None:
        """Run passes while there is work. A report follows each pass, before the next pass if the engine waits. First
        tokens are sent when the next pass has begun.
        """
        gathers = self.settings.gather > 0.0
        while True:
            await self._work.wait()
            began = monotonic()
            await self._settle(first=False)
            begun = self.engine.start()
            while begun is not None:
                await asyncio.sleep(max(began + begun.duration - monotonic(), 0.0))
                ended, began = self.engine.finish(), monotonic()
                begun = None if gathers else self.engine.start()
                self._tell(self.engine.report(ended))
                if gathers:
                    await self._settle(first=any(self.engine.backlog))
                    begun = self.engine.start()
                for request in ended.done:
                    self._first.pop(request.id).set()
            self._work.clear()

    async def _settle(self, first: bool) -> None:
        """Wait until batches that have begun to arrive are complete, and for the `first` request of a batch. The time
        counts as part of the pass.
        """
        while first or self._missing:
            self._came.clear()
            try:
                await asyncio.wait_for(self._came.wait(), self.settings.gather)
            except TimeoutError:
                self._missing.clear()
            first = False

    def _arrived(self, batch: str) -> None:
        name, _, size = batch.partition("/")
        missing = self._missing.pop(name, int(size)) - 1
        if missing > 0 and self.settings.gather:
            self._missing[name] = missing
        self._came.set()
        self._work.set()

    def _tell(self, report: Report) -> None:
        for listener in self._listeners:
            listener.put_nowait(report)

    async def _generate(self, request: web.Request) -> web.StreamResponse:
        try:
            asked = await request.json()
            words = _words(asked.get("messages" if "messages" in asked else "prompt"))
            most = [asked.get(name) for name in ("max_tokens", "max_completion_tokens")]
            output = int(next((one for one in most if one is not None), 16))
            if output < 1:
                raise ValueError(f"max_tokens must be at least 1, not {output}")
            if asked.get("model", MODEL) != MODEL:
                return refuse(404, f"the model {asked['model']!r} does not exist; there is {MODEL!r}")
            rank = int(request.headers.get(RANK_HEADER, self._emptiest()))
            told = int(request.headers.get(NUMBER_HEADER, 0))
        except (ValueError, TypeError, AttributeError) as error:
            return refuse(400, str(error))
        if not 0 <= rank < self.settings.ranks:
            return refuse(400, f"there is no rank {rank}; ranks are 0 to {self.settings.ranks - 1}")
        number, chat = next(self._numbers), "messages" in asked
        self._first[number] = first = asyncio.Event()
        self.engine.receive(Request(number, 0.0, words, output), rank, words)
        self._told = self.engine.seen = max(self._told, told)
        self._arrived(request.headers.get(BATCH_HEADER, "0/1"))
        usage = {"prompt_tokens": words, "completion_tokens": output, "total_tokens": words + output}
        try:
            await first.wait()
            if not asked.get("stream"):
                await asyncio.sleep(self.settings.tpot * (output - 1))
                self.served += 1
                return web.json_response(self._whole(number, chat, output, usage), headers=_echo(request))
            return await self._stream(request, number, chat, output, usage)
        except (asyncio.CancelledError, ConnectionResetError):
            self.left += 1
            raise

    async def _stream(
        self, request: web.Request, number: int, chat: bool, output: int, usage: dict[str, int]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", **_echo(request)})
        await response.prepare(request)
        for k in range(output):
            last = k == output - 1
            event = self._chunk(number, chat, f"{number}:{k} ", "length" if last else None, k == 0)
            if last:
                event["usage"] = usage
            await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
            if not last:
                await asyncio.sleep(self.settings.tpot)
        await response.write(b"data: [DONE]\n\n")
        await response.write_eof()
        self.served += 1
        return response

    async def _models(self, request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": MODEL, "object": "model", "owned_by": "espalier"}]})

    async def _health(self, request: web.Request) -> web.Response:
        return web.json_response({"served": self.served, "left": self.left})

    async def _events(self, request: web.Request) -> web.StreamResponse:
        """The current state, then a report (the fields of Report) at the end of every pass."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        queue: asyncio.Queue[Report] = asyncio.Queue()
        queue.put_nowait(self.engine.report(None))
        self._listeners.add(queue)
        try:
            while True:
                report = await queue.get()
                await response.write(b"data: " + json.dumps(report._asdict()).encode() + b"\n\n")
        finally:
            self._listeners.discard(queue)

    def _emptiest(self) -> int:
        return min(range(self.settings.ranks), key=self.engine.backlog.__getitem__)

    def _chunk(self, number: int, chat: bool, text: str, finish: str | None, first: bool) -> dict[str, Any]:
        choice: dict[str, Any] = {"index": 0, "finish_reason": finish}
        role = {"role": "assistant"} if first else {}
        choice |= {"delta": {**role, "content": text}} if chat else {"text": text}
        return self._object(number, "chat.completion.chunk" if chat else "text_completion", choice)

    def _whole(self, number: int, chat: bool, output: int, usage: dict[str, int]) -> dict[str, Any]:
        text = "".join(f"{number}:{k} " for k in range(output))
        choice: dict[str, Any] = {"index": 0, "finish_reason": "length"}
        choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        return {**self._object(number, "chat.completion" if chat else "text_completion", choice), "usage": usage}

    def _object(self, number: int, kind: str, choice: dict[str, Any]) -> dict[str, Any]:
        identity = {"id": f"fake-{self.name}-{number}", "object": kind, "created": int(time()), "model": MODEL}
        return {**identity, "choices": [choice]}


def _echo(request: web.Request) -> dict[str, str]:
    return {ID_HEADER: request.headers[ID_HEADER]} if ID_HEADER in request.headers else {}


def _words(value: Any) -> int:
    """Number of words in a prompt or its messages, at least one. Each token id counts as one."""
    match value:
        case str():
            return max(len(value.split()), 1)
        case list() if value and isinstance(value[0], int):
            return len(value)
        case [str(text)]:
            return _words(text)
        case list() if value and all(isinstance(one, dict) for one in value):
            return sum(_words(one.get("content", one.get("text")) or "") for one in value)
    raise ValueError("a prompt must be text or token ids, and messages must be a list")
