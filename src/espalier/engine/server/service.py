"""What answering needs, and the way from sampled choices to one JSON object or a stream of them."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from espalier.core.seed import derive
from espalier.engine.api import Sampling
from espalier.engine.local import LocalEngine
from espalier.engine.server.choice import Choice, Delta, Read
from espalier.engine.server.errors import ApiError, as_api_error
from espalier.engine.server.requests import ChatRequest, CompletionRequest
from espalier.lm.chat import Renderer
from espalier.lm.tokens import Tokenizer


@dataclass(frozen=True, slots=True)
class Service:
    """The model that is served, under `name`, since `created` (Unix seconds)."""

    name: str
    engine: LocalEngine
    tokenizer: Tokenizer
    renderer: Renderer
    created: int

    def choices(
        self,
        request: ChatRequest | CompletionRequest,
        prompts: list[list[int]],
        *,
        limit: int | None,
        read: Read,
        stop: tuple[int, ...],
        top: int,
        whole: bool,
    ) -> list[Choice]:
        """`n` choices for each prompt, of up to `limit` tokens or as many as fit, each with a seed of its own."""
        if request.model != self.name:
            message = f"the model {request.model!r} does not exist; this server has {self.name!r}"
            raise ApiError(message, status=404, param="model", code="model_not_found")
        base, choices = secrets.randbits(63) if request.seed is None else request.seed, list[Choice]()
        for prompt in prompts:
            room = self.engine.config.max_len - len(prompt)
            if room < (limit or 1):
                raise ApiError(
                    f"the prompt has {len(prompt)} tokens and {limit or 1} are to follow; this model's context is "
                    f"{self.engine.config.max_len} tokens",
                    param="messages" if isinstance(request, ChatRequest) else "prompt",
                    code="context_length_exceeded",
                )
            for _ in range(request.n):
                sampling = Sampling(
                    max_tokens=limit or room,
                    temperature=request.temperature,
                    top_p=request.top_p,
                    top_k=request.top_k,
                    min_p=request.min_p,
                    stop=stop,
                    seed=derive(base, len(choices)),
                )
                choices.append(Choice(len(choices), prompt, sampling, read, request.stops, top=top, whole=whole))
        return choices


class Format(ABC):
    """The objects of one endpoint."""

    prefix: str
    whole_kind: str
    chunk_kind: str

    def __init__(self, model: str) -> None:
        self._head = {"id": f"{self.prefix}{uuid4().hex}", "created": int(time.time()), "model": model}

    @abstractmethod
    def whole(self, delta: Delta) -> dict[str, Any]:
        """A finished choice."""

    @abstractmethod
    def chunk(self, delta: Delta) -> dict[str, Any]:
        """A piece of a choice."""

    def envelope(self, kind: str, choices: list[dict[str, Any]], usage: dict[str, int] | None) -> dict[str, Any]:
        """The object around choices."""
        return {**self._head, "object": kind, "choices": choices, "usage": usage}


@dataclass(frozen=True, slots=True)
class Job:
    """A request ready to run."""

    choices: list[Choice]
    form: Format
    streamed: bool
    wants_usage: bool

    async def answer(self, engine: LocalEngine) -> dict[str, Any]:
        """Everything in one object."""
        done = await asyncio.gather(*(_last(choice, engine) for choice in self.choices))
        return self.form.envelope(self.form.whole_kind, [self.form.whole(delta) for delta in done], self._usage())

    async def events(self, engine: LocalEngine) -> AsyncIterator[str]:
        """Server-sent events: chunks as they come, the token counts if wanted, `[DONE]`. An error becomes an event."""
        queue: asyncio.Queue[Delta | Exception | None] = asyncio.Queue()
        tasks = [asyncio.create_task(_pump(choice, engine, queue)) for choice in self.choices]
        open_choices, kind = len(tasks), self.form.chunk_kind
        try:
            while open_choices:
                item = await queue.get()
                if isinstance(item, Exception):
                    yield _event(as_api_error(item).body)
                    return
                if item is None:
                    open_choices -= 1
                else:
                    yield _event(self.form.envelope(kind, [self.form.chunk(item)], None))
            if self.wants_usage:
                yield _event(self.form.envelope(kind, [], self._usage()))
            yield "data: [DONE]\n\n"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _usage(self) -> dict[str, int]:
        """Token counts; a prompt counts once however many choices it has, as in OpenAI's."""
        prompts = {id(choice.prompt): len(choice.prompt) for choice in self.choices}
        prompt, completion = sum(prompts.values()), sum(choice.count for choice in self.choices)
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


async def _last(choice: Choice, engine: LocalEngine) -> Delta:
    return [delta async for delta in choice.deltas(engine, streamed=False)][-1]


async def _pump(choice: Choice, engine: LocalEngine, queue: asyncio.Queue[Delta | Exception | None]) -> None:
    try:
        async for delta in choice.deltas(engine, streamed=True):
            queue.put_nowait(delta)
        queue.put_nowait(None)
    except Exception as error:
        queue.put_nowait(error)


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False)}\n\n"
