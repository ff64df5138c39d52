"""The requests of clients, in OpenAI's names. `top_k` and `min_p` are extensions (`extra_body` in their client).

Unknown fields are errors, and so are known but unsupported fields that would change the answer. Fields that do not
change an answer (`user`, `metadata`, ...) are accepted and ignored.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, FailFast, Field, ValidationInfo, field_validator

from espalier.core.messages import ToolSpec
from espalier.engine.server.messages import Body, ChatMessage, Tool, Unused

Ids = list[int]
MOST_CHOICES = 1024
"""Largest number of answers of one request: prompts times `n`."""


def _only(*values: Any) -> AfterValidator:
    """The field may say what holds anyway."""

    def check(value: Any) -> Any:
        if value not in values:
            some = f"this server supports only {' and '.join(map(repr, values))} here"
            raise ValueError(f"{some if values else 'this server does not support the field'}: leave it out")
        return value

    return AfterValidator(check)


def _no_bias(value: dict[str, float]) -> dict[str, float]:
    if any(value.values()):
        raise ValueError("this server does not support biases other than 0: leave the field out")
    return value


def _texts(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _no_false(value: Any) -> Any:
    return None if value is False else value


def _prompts(value: Any) -> list[str | Ids]:
    if isinstance(value, str) or _are_ids(value):
        return [value]
    if isinstance(value, list) and value and all(isinstance(part, str) or _are_ids(part) for part in value):
        return value
    raise ValueError("a prompt is a text or a list of token ids, or there is a list of such prompts")


def _are_ids(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(type(part) is int for part in value)


class StreamOptions(Body):
    """Whether the last chunk has the token counts."""

    include_usage: bool = False
    include_obfuscation: Unused = False


class _Generation(Body):
    """What chat and plain completions have in common."""

    model: str
    max_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(1.0, ge=0.0, le=10.0)
    top_p: float = Field(1.0, gt=0.0, le=1.0)
    top_k: int = Field(0, ge=-1)
    min_p: float = Field(0.0, ge=0.0, le=1.0)
    n: int = Field(1, ge=1, le=128)
    seed: int | None = None
    stop: Annotated[list[str], FailFast(), Field(max_length=64), BeforeValidator(_texts)] = Field(default_factory=list)
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    frequency_penalty: Annotated[float, _only(0)] = 0.0
    presence_penalty: Annotated[float, _only(0)] = 0.0
    logit_bias: Annotated[dict[str, float], AfterValidator(_no_bias)] = Field(default_factory=dict)
    user: str = ""

    @property
    def stops(self) -> list[str]:
        """Texts that end the answer and are not part of it."""
        return [text for text in self.stop if text]

    @property
    def wants_usage(self) -> bool:
        """Whether a stream ends with the token counts."""
        return self.stream_options.include_usage


class ChatRequest(_Generation):
    """POST /v1/chat/completions."""

    messages: Annotated[list[ChatMessage], FailFast()] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)
    tools: Annotated[list[Tool], FailFast()] = Field(default_factory=list)
    tool_choice: Annotated[Any, _only("auto", "none")] = "auto"
    parallel_tool_calls: bool = True
    response_format: Annotated[Any, _only({"type": "text"})] = None
    modalities: Annotated[list[str], FailFast(), _only(["text"])] = Field(default_factory=lambda: ["text"])
    verbosity: Annotated[str, _only("medium")] = "medium"
    audio: Unused = None
    functions: Unused = None
    function_call: Annotated[Any, _only("auto", "none")] = "none"
    moderation: Unused = None
    prediction: Unused = None
    reasoning_effort: Unused = None
    web_search_options: Annotated[Any, _only()] = None
    metadata: dict[str, Any] = Field(default_factory=dict)
    store: bool = False
    service_tier: str = ""
    safety_identifier: str = ""
    prompt_cache_key: str = ""
    prompt_cache_options: Any = None
    prompt_cache_retention: str = ""

    @field_validator("top_logprobs")
    @classmethod
    def _rivals_need_logprobs(cls, value: int, info: ValidationInfo) -> int:
        if value and not info.data.get("logprobs"):
            raise ValueError("top_logprobs needs log-probs: set logprobs to true")
        return value

    @property
    def offered(self) -> tuple[ToolSpec, ...]:
        """The tools that are described to the model."""
        return tuple(tool.parsed() for tool in self.tools)

    @property
    def callable(self) -> tuple[ToolSpec, ...]:
        """The tools that the model may call."""
        return () if self.tool_choice == "none" else self.offered


class CompletionRequest(_Generation):
    """POST /v1/completions."""

    prompt: Annotated[list[Any], BeforeValidator(_prompts)]
    logprobs: Annotated[Annotated[int, Field(ge=0, le=20)] | None, BeforeValidator(_no_false)] = None
    echo: Unused = False
    best_of: int | None = None
    suffix: Unused = ""

    @field_validator("best_of")
    @classmethod
    def _best_of_all(cls, value: int | None, info: ValidationInfo) -> int | None:
        if value != info.data.get("n"):
            raise ValueError("this server returns all that it samples: set best_of to n, or leave it out")
        return value

    @property
    def prompts(self) -> list[str | Ids]:
        """One or more prompts, each a text or token ids."""
        return self.prompt
