"""The messages that environments, chat templates and servers exchange."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Role(StrEnum):
    """Who speaks. Values are OpenAI's role names."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool the model may call. `parameters` is a JSON schema of its arguments."""

    name: str
    description: str
    parameters: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call by the model. `arguments` is the decoded JSON object."""

    name: str
    arguments: dict[str, Any]
    id: str = ""


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation.

    `content` is the visible text, `reasoning` the text of the thinking block (assistant only), `tool_calls` the calls
    it makes (assistant only) and `tool_call_id` the call that a tool message answers. `role` may be given as its name.
    """

    role: Role
    content: str
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = field(default=())
    tool_call_id: str = ""

    def __post_init__(self) -> None:
        if type(self.role) is not Role:
            object.__setattr__(self, "role", Role(self.role))

    @staticmethod
    def system(content: str) -> Message:
        """A system message."""
        return Message(Role.SYSTEM, content)

    @staticmethod
    def user(content: str) -> Message:
        """A user message."""
        return Message(Role.USER, content)

    @staticmethod
    def assistant(content: str, reasoning: str = "", tool_calls: tuple[ToolCall, ...] = ()) -> Message:
        """An assistant message."""
        return Message(Role.ASSISTANT, content, reasoning, tool_calls)

    @staticmethod
    def tool(content: str, tool_call_id: str = "") -> Message:
        """The result of a tool call."""
        return Message(Role.TOOL, content, tool_call_id=tool_call_id)
