"""Messages and tools as clients send them, including the answers of this server."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, FailFast, Field, model_validator

from espalier.core.io import strict_json
from espalier.core.messages import Message, Role, ToolCall, ToolSpec


class Body(BaseModel):
    """An object of a request. Unknown fields are errors; null is treated as a missing field."""

    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, data: Any) -> Any:
        return {key: value for key, value in data.items() if value is not None} if isinstance(data, dict) else data


def _unused(value: Any) -> Any:
    if value:
        raise ValueError("this server does not support the field: leave it out")
    return value


Unused = Annotated[Any, AfterValidator(_unused)]
"""A field that is accepted only if it has no effect: null, false, zero, empty."""


def _parts(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _arguments(text: Any) -> dict[str, Any]:
    if not isinstance(text, str):
        raise ValueError("the arguments of a call must be a text with a JSON object")
    try:
        arguments = strict_json.loads(text or "{}")
    except ValueError as error:
        raise ValueError(f"the arguments are not JSON that can be passed on: {error}") from None
    if not isinstance(arguments, dict):
        raise ValueError(f"the arguments must be a JSON object, this is {text[:40]!r}")
    return arguments


class Part(Body):
    """A part of a message's content."""

    type: Literal["text", "refusal"]
    text: str = ""
    refusal: str = ""


class FunctionCall(Body):
    """The function of a tool call; `arguments` is JSON text. OpenAI's client adds its parsed arguments."""

    name: str
    arguments: Annotated[dict[str, Any], BeforeValidator(_arguments)] = Field(default_factory=dict)
    parsed_arguments: Any = None


class Call(Body):
    """A tool call in an assistant message. Streams number them with `index`."""

    id: str = ""
    type: Literal["function"] = "function"
    function: FunctionCall
    index: int = 0


class ChatMessage(Body):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[list[Part], FailFast(), BeforeValidator(_parts)] = Field(default_factory=list)
    reasoning_content: str = ""
    tool_calls: Annotated[list[Call], FailFast()] = Field(default_factory=list)
    tool_call_id: str = ""
    name: str = ""
    refusal: str = ""
    annotations: Unused = None
    audio: Unused = None
    function_call: Unused = None
    parsed: Any = None

    def parsed_message(self) -> Message:
        """As a `Message`."""
        text = "".join(part.text or part.refusal for part in self.content) or self.refusal
        role = Role.SYSTEM if self.role == "developer" else Role(self.role)
        calls = tuple(ToolCall(call.function.name, call.function.arguments, call.id) for call in self.tool_calls)
        return Message(role, text, self.reasoning_content, calls, self.tool_call_id)


class Function(Body):
    """The description of a function. `strict` is not enforced: the model's output is not constrained."""

    name: str = Field(min_length=1)
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    strict: bool = False


class Tool(Body):
    """A tool that the model may call."""

    type: Literal["function"]
    function: Function

    def parsed(self) -> ToolSpec:
        """As a `ToolSpec`."""
        return ToolSpec(self.function.name, self.function.description, self.function.parameters)
