"""Chat completions: converts requests to prompts, and deltas to OpenAI's objects."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from espalier.core.messages import Message, ToolCall, ToolSpec
from espalier.engine.server.choice import Delta, Wish
from espalier.engine.server.logprobs import chat_note
from espalier.engine.server.reading import ChatReading, opened
from espalier.engine.server.requests import ChatRequest
from espalier.engine.server.service import Format, Job, Service


def chat_job(request: ChatRequest, service: Service) -> Job:
    """The prompt of the conversation, `n` times."""
    tokenizer, renderer, tools = service.tokenizer, service.renderer, request.callable
    messages = [message.parsed_message() for message in request.messages]
    service.check_length(_characters(messages, request.offered), "messages")
    prompt = renderer.opening(messages, request.offered)
    wish = Wish(
        read=lambda prompt: ChatReading(tokenizer, renderer, tools, opened=opened(tokenizer, prompt)),
        stops=request.stops,
        note=(lambda: chat_note(service.names)) if request.logprobs else None,
        top=request.top_logprobs,
        whole=bool(tools),
        calls=None if request.parallel_tool_calls else 1,
    )
    limit = request.max_completion_tokens or request.max_tokens
    choices = service.choices(request, [prompt], wish, limit=limit, stop=renderer.stop)
    return Job(choices, ChatFormat(service.name, request.logprobs), request.stream, request.wants_usage)


def _characters(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> int:
    """At least so many are encoded. Of reasoning the longest counts: chat formats may leave out that of other turns."""
    said = sum(len(message.content) for message in messages)
    called = sum(len(json.dumps(call.arguments)) for message in messages for call in message.tool_calls)
    offered = sum(len(tool.description) + len(json.dumps(tool.parameters)) for tool in tools)
    return said + called + offered + max(len(message.reasoning) for message in messages)


class ChatFormat(Format):
    """`chat.completion` and `chat.completion.chunk`."""

    prefix, whole_kind, chunk_kind = "chatcmpl-", "chat.completion", "chat.completion.chunk"

    def __init__(self, model: str, logprobs: bool) -> None:
        super().__init__(model)
        self._logprobs = logprobs
        self._begun: set[int] = set()

    def whole(self, delta: Delta) -> dict[str, Any]:
        """See `Format`."""
        message = {"role": "assistant", "content": delta.content or (None if delta.tool_calls else ""), "refusal": None}
        return self._choice(delta, "message", message | _extras(delta))

    def chunk(self, delta: Delta) -> dict[str, Any]:
        """See `Format`."""
        said: dict[str, Any] = {"content": delta.content} if delta.content else {}
        if delta.index not in self._begun:
            self._begun.add(delta.index)
            said = {"role": "assistant", "content": delta.content}
        extras = _extras(delta)
        for i, call in enumerate(extras.get("tool_calls", [])):
            call["index"] = i
        return self._choice(delta, "delta", said | extras)

    def _choice(self, delta: Delta, key: str, said: dict[str, Any]) -> dict[str, Any]:
        logprobs = {"content": delta.logprobs, "refusal": None} if self._logprobs else None
        return {"index": delta.index, key: said, "logprobs": logprobs, "finish_reason": delta.finish}


def _extras(delta: Delta) -> dict[str, Any]:
    extras: dict[str, Any] = {}
    if delta.reasoning:
        extras["reasoning_content"] = delta.reasoning
    if delta.tool_calls:
        extras["tool_calls"] = [_call(call) for call in delta.tool_calls]
    return extras


def _call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}
    return {"id": call.id or f"call_{uuid4().hex[:24]}", "type": "function", "function": function}
