"""Checks that a chat template shows the model everything in a conversation: templates silently drop what they do not
support.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from espalier.core.errors import DataError
from espalier.core.messages import Message, ToolCall, ToolSpec

Render = Callable[[Sequence[Message], Sequence[ToolSpec]], str]
INSTEAD = "take a checkpoint whose template has them, edit its chat_template.jinja, or set the renderer to glm"


class Shown:
    """Checks conversations by rendering a marked copy: the same roles and calls, with a mark for each text, which must
    appear in the output.

    A conversation with the same structure as a checked one is not rendered again.
    """

    def __init__(self, render: Render) -> None:
        self._render = render
        self._passed = set[object]()

    def check(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> None:
        """Raises DataError if tools, a text or a call would not reach the model."""
        shape = (bool(tools), *((m.role, bool(m.content.strip()), len(m.tool_calls)) for m in messages))
        if shape in self._passed:
            return
        marked = [_marked(i, message) for i, message in enumerate(messages)]
        text = self._render(marked, tools)
        if tools and text == self._render(marked, ()):
            raise DataError(f"the chat template does not show tools to the model: offer none, or {INSTEAD}")
        for i, message in enumerate(marked, 1):
            where = f"message {i} of {len(marked)}"
            if message.content.strip() not in text:
                raise DataError(f"the chat template leaves out what the {message.role} says in {where}: {INSTEAD}")
            if not all(call.arguments["x"] in text for call in message.tool_calls):
                raise DataError(f"the chat template leaves out the tool calls in {where}: {INSTEAD}")
        self._passed.add(shape)


def _marked(i: int, message: Message) -> Message:
    calls = (ToolCall(call.name, {"x": f"probe7{i}7call7{j}7"}, call.id) for j, call in enumerate(message.tool_calls))
    text = f"probe7{i}7text" if message.content.strip() else ""
    return replace(message, content=text, reasoning="", tool_calls=tuple(calls))
