"""Shared parts of all endpoints, and the conversion of sampled choices to one JSON object or a stream."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import uuid4

from espalier.core.errors import EngineError
from espalier.core.seed import derive
from espalier.engine.api import Sampling, StreamingEngine
from espalier.engine.config import QUEUE
from espalier.engine.server.choice import Choice, Delta, Wish
from espalier.engine.server.errors import ApiError, as_api_error
from espalier.engine.server.gate import Gate, Ticket
from espalier.engine.server.logprobs import MOST, Names
from espalier.engine.server.requests import MOST_CHOICES, ChatRequest, CompletionRequest
from espalier.lm.chat import Renderer
from espalier.lm.tokens import Tokenizer


@dataclass(slots=True)
class Service:
    """The served model, under `name`, since `created` (Unix seconds). `queue` choices may wait for a row."""

    name: str
    engine: StreamingEngine
    tokenizer: Tokenizer
    renderer: Renderer
    created: int
    queue: int = QUEUE
    gate: Gate = field(init=False)
    names: Names = field(init=False)

    def __post_init__(self) -> None:
        self.gate = Gate(self.engine.max_rows, self.queue)
        self.names = Names(self.tokenizer)

    def check_length(self, characters: int, param: str) -> None:
        """Raise ApiError for a text that cannot fit, before it is tokenized, because that may take long."""
        longest = self.engine.max_len * self.tokenizer.longest
        if characters > longest:
            raise ApiError(
                f"the prompt has {characters} characters; this model's context is {self.engine.max_len} tokens, "
                f"which hold {longest} at most",
                param=param,
                code="context_length_exceeded",
            )

    def choices(
        self,
        request: ChatRequest | CompletionRequest,
        prompts: list[list[int]],
        wish: Wish,
        *,
        limit: int | None,
        stop: tuple[int, ...],
    ) -> list[Choice]:
        """`n` choices for each prompt, of up to `limit` tokens or as many as fit, each with its own seed."""
        if request.model != self.name:
            message = f"the model {request.model[:200]!r} does not exist; this server has {self.name!r}"
            raise ApiError(message, status=404, param="model", code="model_not_found")
        if len(prompts) * request.n > MOST_CHOICES:
            message = f"{len(prompts)} prompts with n={request.n}: one request may ask for {MOST_CHOICES} answers"
            raise ApiError(message, param="n")
        base, choices = secrets.randbits(63) if request.seed is None else request.seed, list[Choice]()
        for prompt in prompts:
            sampling = self._sampling(request, prompt, limit, stop)
            for _ in range(request.n):
                seeded = replace(sampling, seed=derive(base, len(choices)))
                choices.append(Choice(len(choices), prompt, seeded, wish))
        written = (1 + wish.top) * sum(choice.sampling.max_tokens for choice in choices)
        if wish.note and not request.stream and written > MOST:
            message = (
                f"{written} log-probs may come, {MOST} fit in one answer: lower n, max_tokens or the rivals, or stream"
            )
            raise ApiError(message, param="logprobs")
        return choices

    def _sampling(
        self, request: ChatRequest | CompletionRequest, prompt: list[int], limit: int | None, stop: tuple[int, ...]
    ) -> Sampling:
        """The settings of `request` for one of its prompts. Raises ApiError where it cannot be continued so."""
        param = "messages" if isinstance(request, ChatRequest) else "prompt"
        room = self.engine.max_len - len(prompt)
        if room < (limit or 1):
            raise ApiError(
                f"the prompt has {len(prompt)} tokens and {limit or 1} are requested; this model's context is "
                f"{self.engine.max_len} tokens",
                param=param,
                code="context_length_exceeded",
            )
        sampling = Sampling(
            max_tokens=limit or room,
            temperature=request.temperature,
            top_p=request.top_p,
            top_k=max(request.top_k, 0),
            min_p=request.min_p,
            stop=stop,
        )
        try:
            self.engine.check(prompt, sampling)
        except EngineError as error:
            raise ApiError(str(error), param=param) from error
        return sampling


class Format(ABC):
    """The JSON objects of one endpoint."""

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

    async def answer(self, engine: StreamingEngine, ticket: Ticket) -> dict[str, Any]:
        """Everything in one object."""
        async with aclosing(self._deltas(engine, ticket)) as deltas:
            done = {delta.index: self.form.whole(delta) async for delta in deltas}
        return self.form.envelope(self.form.whole_kind, [done[index] for index in sorted(done)], self._usage())

    async def events(self, engine: StreamingEngine, ticket: Ticket) -> AsyncGenerator[str, None]:
        """Server-sent events: chunks as they arrive, the token counts if requested, `[DONE]`. An error becomes an
        event.
        """
        kind = self.form.chunk_kind
        try:
            async with aclosing(self._deltas(engine, ticket)) as deltas:
                async for delta in deltas:
                    yield _event(self.form.envelope(kind, [self.form.chunk(delta)], None))
            if self.wants_usage:
                yield _event(self.form.envelope(kind, [], self._usage()))
            yield "data: [DONE]\n\n"
        except Exception as error:
            yield _event(as_api_error(error).body)

    async def _deltas(self, engine: StreamingEngine, ticket: Ticket) -> AsyncGenerator[Delta, None]:
        """What the choices say, as it comes. No more of them are begun at a time than the engine has rows."""
        todo = iter(self.choices)
        workers = min(len(self.choices), engine.max_rows)
        tasks = [asyncio.create_task(self._work(todo, engine, ticket)) for _ in range(workers)]
        try:
            unfinished = len(self.choices)
            while unfinished:
                delta = await ticket.outbox.get()
                unfinished -= delta.finish is not None
                yield delta
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, todo: Iterator[Choice], engine: StreamingEngine, ticket: Ticket) -> None:
        """Sample one choice after the other of those that nobody has begun."""
        try:
            for choice in todo:
                began = time.monotonic()
                async with aclosing(choice.deltas(engine, streamed=self.streamed)) as deltas:
                    async for delta in deltas:
                        await ticket.outbox.put(delta)
                ticket.done(time.monotonic() - began)
        except Exception as error:
            ticket.outbox.fail(error)

    def _usage(self) -> dict[str, int]:
        """Token counts; a prompt counts once however many choices it has, as in OpenAI's."""
        prompts = {id(choice.prompt): len(choice.prompt) for choice in self.choices}
        prompt, completion = sum(prompts.values()), sum(choice.count for choice in self.choices)
        return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data, ensure_ascii=False, allow_nan=False)}\n\n"
