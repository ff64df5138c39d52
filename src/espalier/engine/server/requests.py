"""What clients may ask for, in OpenAI's names. `top_k` and `min_p` are extensions (`extra_body` in their client).

An unknown field, and a known one that would change the answer but is not supported, is an error: nothing that matters
is ignored.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, field_validator

from espalier.core.messages import Message, Role, ToolCall, ToolSpec
from espalier.engine.server.errors import ApiError

Ids = list[int]
Zero = Annotated[float | None, Field(ge=0.0, le=0.0)]
"""A penalty that may be named but not used."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class TextPart(_Body):
    """A part of a message's content."""

    type: Literal["text"]
    text: str


class FunctionCall(_Body):
    """The function of a tool call; `arguments` is JSON text."""

    name: str
    arguments: str


class Call(_Body):
    """A tool call in an assistant message."""

    id: str = ""
    type: Literal["function"] = "function"
    function: FunctionCall

    def parsed(self) -> ToolCall:
        """With decoded arguments."""
        try:
            arguments = json.loads(self.function.arguments or "{}")
        except json.JSONDecodeError as error:
            raise ApiError(f"the arguments of call {self.id!r} are not JSON: {error}", param="messages") from error
        if not isinstance(arguments, dict):
            raise ApiError(f"the arguments of call {self.id!r} must be a JSON object", param="messages")
        return ToolCall(self.function.name, arguments, self.id)


class ChatMessage(_Body):
    """One message of the conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[TextPart] | None = None
    reasoning_content: str | None = None
    tool_calls: list[Call] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    refusal: str | None = None

    def parsed(self) -> Message:
        """In the house's form."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content or [])
        role = Role.SYSTEM if self.role == "developer" else Role(self.role)
        calls = tuple(call.parsed() for call in self.tool_calls or [])
        return Message(role, text, self.reasoning_content or "", calls, self.tool_call_id or "")


class Function(_Body):
    """The description of a function."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    strict: bool | None = None


class Tool(_Body):
    """A tool that the model may call."""

    type: Literal["function"]
    function: Function

    def parsed(self) -> ToolSpec:
        """In the house's form."""
        return ToolSpec(self.function.name, self.function.description, self.function.parameters)


class StreamOptions(_Body):
    """Whether the last chunk carries the token counts."""

    include_usage: bool = False


class TextFormat(_Body):
    """The only response format there is."""

    type: Literal["text"]


class _Generation(_Body):
    """What chat and plain completions have in common."""

    model: str
    max_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(1.0, ge=0.0, le=10.0)
    top_p: float = Field(1.0, gt=0.0, le=1.0)
    top_k: int = Field(0, ge=0)
    min_p: float = Field(0.0, ge=0.0, le=1.0)
    n: int = Field(1, ge=1, le=128)
    seed: int | None = None
    stop: str | list[str] | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    frequency_penalty: Zero = None
    presence_penalty: Zero = None
    logit_bias: Annotated[dict[str, float] | None, Field(max_length=0)] = None
    user: str | None = None

    @field_validator("temperature", "top_p", "n", mode="before")
    @classmethod
    def _default(cls, value: Any, info: Any) -> Any:
        return cls.model_fields[info.field_name].default if value is None else value

    @property
    def stops(self) -> list[str]:
        """Texts that end the answer and are not part of it."""
        given = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return [text for text in given if text]

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with the token counts."""
        return self.stream_options is not None and self.stream_options.include_usage


class ChatRequest(_Generation):
    """POST /v1/chat/completions."""

    messages: list[ChatMessage] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=20)
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    parallel_tool_calls: bool | None = None
    response_format: TextFormat | None = None
    metadata: dict[str, str] | None = None
    store: bool | None = None
    service_tier: str | None = None

    @property
    def offered(self) -> tuple[ToolSpec, ...]:
        """The tools that the model may use."""
        return () if self.tool_choice == "none" else tuple(tool.parsed() for tool in self.tools or [])


class CompletionRequest(_Generation):
    """POST /v1/completions."""

    prompt: str | list[str] | Ids | list[Ids]
    logprobs: int | None = Field(None, ge=0, le=20)
    echo: Annotated[bool | None, Field(le=0)] = None
    best_of: Annotated[int | None, Field(ge=1, le=1)] = None
    suffix: Annotated[str | None, Field(max_length=0)] = None

    @property
    def prompts(self) -> list[str | Ids]:
        """One or more prompts, each a text or token ids."""
        given = self.prompt
        several = not isinstance(given, str) and not all(isinstance(part, int) for part in given)
        return cast("list[str | Ids]", given if several else [given])
