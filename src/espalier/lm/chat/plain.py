"""The shortest chat format, for tiny vocabularies: bare text, one token per role marker, one stop token.

    12*34= <|assistant|> [12*34] <|end|> <|tool|> 408 <|assistant|> 408 <|end|>     (without the spaces)

A turn costs the model one sampled control token, the stop token. The first message needs no marker, thinking is
whatever stands before `</think>`, and a tool call is `[argument]` at the end of the turn.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

from espalier.core.errors import DataError
from espalier.core.messages import Message, Role, ToolCall, ToolSpec
from espalier.lm.chat.markup import properties, read_value, write_value
from espalier.lm.chat.protocol import Renderer, turn, unrepeated
from espalier.lm.tokens import Tokenizer

_CALLS = re.compile(r"(?:\[[^\[\]]*\])+\Z")


class PlainRenderer(Renderer):
    """Renders for a tokenizer with the control tokens of `PLAIN_CONTROL`. System messages are rendered like user
    messages.

    A call is `[3*4]` if there is one tool with one parameter, and `[name 3*4]` if there are several tools; the
    arguments of a tool with several parameters are a JSON object. The tools themselves are not described: the model
    learns them by training.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._end = tokenizer.id("<|end|>")
        self._think = tokenizer.id("</think>")
        user, tool, self._assistant = (tokenizer.id(name) for name in ("<|user|>", "<|tool|>", "<|assistant|>"))
        self._marker = {Role.SYSTEM: user, Role.USER: user, Role.TOOL: tool, Role.ASSISTANT: self._assistant}
        self.stop = (self._end,)

    def opening(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> list[int]:
        """See `Renderer`."""
        ids = [token for message in messages for token in self._turn(message, tools)]
        if messages and messages[0].role in (Role.SYSTEM, Role.USER):
            del ids[0]
        return [*ids, self._assistant]

    def following(self, messages: Sequence[Message], last: int | None = None) -> list[int]:
        """See `Renderer`."""
        new = [token for message in messages for token in self._turn(message, ())]
        return unrepeated([self._end, *new, self._assistant], last, self.stop)

    def answer(self, message: Message, tools: Sequence[ToolSpec] = (), then: Role | None = None) -> list[int]:
        """See `Renderer`. Raises DataError for a call that the syntax cannot express."""
        thinking = [*self._tokenizer.encode(message.reasoning), self._think] if message.reasoning else []
        calls = "".join(_write_call(call, tools) for call in message.tool_calls)
        return [*thinking, *self._tokenizer.encode(message.content + calls), self._end]

    def parse(self, ids: Sequence[int], tools: Sequence[ToolSpec] = ()) -> Message:
        """See `Renderer`. Brackets are calls only if there are `tools`; misplaced control tokens stay in the
        content.
        """
        said = turn(ids, self.stop)
        split = said.index(self._think) + 1 if self._think in said else 0
        reasoning, text = self._tokenizer.decode(said[: max(split - 1, 0)]), self._tokenizer.decode(said[split:])
        found = _CALLS.search(text)
        calls = [_read_call(body, tools) for body in found[0][1:-1].split("][")] if found else []
        if found is None or None in calls:
            return Message.assistant(text, reasoning)
        return Message.assistant(text[: found.start()], reasoning, tuple(call for call in calls if call))

    def _turn(self, message: Message, tools: Sequence[ToolSpec]) -> list[int]:
        said = message.role == Role.ASSISTANT
        body = self.answer(message, tools) if said else self._tokenizer.encode(message.content)
        return [self._marker[message.role], *body]


def _write_call(call: ToolCall, tools: Sequence[ToolSpec]) -> str:
    tool = next((tool for tool in tools if tool.name == call.name), None)
    if tool is None:
        raise DataError(f"a message calls {call.name!r}, which is not among the tools: offer it, or drop the call")
    names = list(properties(tool))
    if len(names) == 1 and list(call.arguments) == names:
        body = write_value(call.arguments[names[0]])
    else:
        body = json.dumps(call.arguments, ensure_ascii=False, separators=(",", ":"))
    if set(body) & {"[", "]"}:
        raise DataError(f"the arguments of {call.name!r} hold a bracket, which ends a plain call: use GLMRenderer")
    return f"[{body}]" if len(tools) == 1 else f"[{call.name} {body}]"


def _read_call(body: str, tools: Sequence[ToolSpec]) -> ToolCall | None:
    name, _, rest = body.partition(" ")
    tool = tools[0] if len(tools) == 1 else next((tool for tool in tools if tool.name == name), None)
    if tool is None:
        return None
    text = body if len(tools) == 1 else rest
    schemas = properties(tool)
    if len(schemas) == 1:
        (key, schema), *_ = schemas.items()
        return ToolCall(tool.name, {key: read_value(text, schema if isinstance(schema, dict) else {})})
    arguments = read_value(text, {})
    return ToolCall(tool.name, arguments) if isinstance(arguments, dict) else None
