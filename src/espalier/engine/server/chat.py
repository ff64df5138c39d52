"""Chat completions: requests to prompts, deltas to OpenAI's objects."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

from espalier.core.messages import ToolCall
from espalier.engine.sequence import Progress
from espalier.engine.server.choice import Delta
from espalier.engine.server.requests import ChatRequest
from espalier.engine.server.service import Format, Job, Service
from espalier.lm.tokens import Tokenizer


def chat_job(request: ChatRequest, service: Service) -> Job:
    """The prompt of the conversation, `n` times."""
    tools, renderer = request.offered, service.renderer
    prompt = renderer.opening([message.parsed() for message in request.messages], tools)
    top = (request.top_logprobs or 0) if request.logprobs else 0
    choices = service.choices(
        request,
        [prompt],
        limit=request.max_completion_tokens or request.max_tokens,
        read=lambda ids: renderer.parse(ids, tools),
        stop=renderer.stop,
        top=top,
        whole=bool(tools),
    )
    return Job(choices, ChatFormat(service, bool(request.logprobs)), request.stream, request.wants_usage)


class ChatFormat(Format):
    """`chat.completion` and `chat.completion.chunk`."""

    prefix, whole_kind, chunk_kind = "chatcmpl-", "chat.completion", "chat.completion.chunk"

    def __init__(self, service: Service, logprobs: bool) -> None:
        super().__init__(service.name)
        self._tokenizer, self._logprobs = service.tokenizer, logprobs
        self._begun: set[int] = set()

    def whole(self, delta: Delta) -> dict[str, Any]:
        """See `Format`."""
        message = {"role": "assistant", "content": delta.content or (None if delta.tool_calls else ""), "refusal": None}
        return self._choice(delta, "message", message | self._extras(delta))

    def chunk(self, delta: Delta) -> dict[str, Any]:
        """See `Format`."""
        said: dict[str, Any] = {"content": delta.content} if delta.content else {}
        if delta.index not in self._begun:
            self._begun.add(delta.index)
            said = {"role": "assistant", "content": delta.content}
        extras = self._extras(delta)
        for i, call in enumerate(extras.get("tool_calls", [])):
            call["index"] = i
        return self._choice(delta, "delta", said | extras)

    def _choice(self, delta: Delta, key: str, said: dict[str, Any]) -> dict[str, Any]:
        logprobs = None
        if self._logprobs:
            logprobs = {"content": [token_logprob(self._tokenizer, item) for item in delta.tokens], "refusal": None}
        return {"index": delta.index, key: said, "logprobs": logprobs, "finish_reason": delta.finish}

    def _extras(self, delta: Delta) -> dict[str, Any]:
        extras: dict[str, Any] = {}
        if delta.reasoning:
            extras["reasoning_content"] = delta.reasoning
        if delta.tool_calls:
            extras["tool_calls"] = [_call(call) for call in delta.tool_calls]
        return extras


def token_logprob(tokenizer: Tokenizer, item: Progress) -> dict[str, Any]:
    """A sampled token, its log-prob, and those of its most probable rivals."""
    rivals = [_token(tokenizer, token, logprob) for token, logprob in item.top]
    return {**_token(tokenizer, item.token, item.raw_logprob), "top_logprobs": rivals}


def _token(tokenizer: Tokenizer, token: int, logprob: float) -> dict[str, Any]:
    text = tokenizer.decode([token])
    return {"token": text, "logprob": logprob, "bytes": list(text.encode())}


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}
    return {"id": call.id or f"call_{uuid4().hex[:24]}", "type": "function", "function": function}
