"""The checkpoint's own chat template, rendered so that sampled tokens are never encoded again.

A template renders whole conversations. The text after a sampled turn is found by rendering a probe conversation with
and without the new messages: the two must agree up to the end of the probe's answer, and the rest is what to append.

If a template only drops the thinking of earlier turns (Qwen3, GLM), a rollout keeps it, because sampled tokens stay. If
it rewrites earlier turns in any other way, `following` raises an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import jinja2

from espalier.core.errors import ConfigError, DataError
from espalier.core.messages import Message, Role, ToolCall, ToolSpec
from espalier.lm.chat.jinja import compile_template
from espalier.lm.chat.markup import describe, read_turn
from espalier.lm.chat.protocol import Renderer, turn, unrepeated
from espalier.lm.chat.shown import Shown
from espalier.lm.tokens import Tokenizer

_MARK = "probe7answer7probe"
_PROBE = ToolSpec("probe", "", {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]})
_QUESTION, _REPLY, _RESULT = Message.user("probe"), Message.user("probe7reply"), Message.tool("probe7reply")
_THINKING = re.compile(r"<think>.*?</think>\s*", re.DOTALL)


class TemplateRenderer(Renderer):
    """Renders with `template`, or else the tokenizer's own. `variables` are passed to the template, such as
    `enable_thinking=False`.

    The stop tokens are the end of text and the control token that the template puts after an answer or a call. `parse`
    reads calls in the formats of GLM, Hermes and Qwen. `now` is the clock of templates that print the date. Raises
    ConfigError if there is no template or it does not render a plain exchange.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        template: str | None = None,
        *,
        variables: Mapping[str, Any] | None = None,
        now: Callable[[], datetime] = datetime.now,
    ) -> None:
        source = template if template is not None else tokenizer.template
        if source is None:
            raise ConfigError("the tokenizer has no chat template: add chat_template.jinja to its folder")
        self._tokenizer = tokenizer
        self._template = compile_template(source, now)
        self._separate_reasoning = "reasoning_content" in source
        self._variables = {**tokenizer.named_tokens, **(variables or {})}
        self._shown = Shown(lambda messages, tools: self._render(messages, tools, prompt=True))
        self._ends = {Role.USER: self._end(_REPLY)}
        try:
            self._ends[Role.TOOL] = self._end(_RESULT)
        except ConfigError:  # a template without tools
            self._ends[Role.TOOL] = self._ends[Role.USER]
        ends = [tokenizer.id(name) for name in self._ends.values()]
        self.stop: tuple[int, ...] = tuple(dict.fromkeys([*ends, tokenizer.eos_id]))

    def opening(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> list[int]:
        """See `Renderer`. Raises DataError if the template rejects the conversation, or leaves out a part of it."""
        text = self._render(messages, tools, prompt=True)
        self._shown.check(messages, tools)
        return self._tokenizer.encode_markup(text)

    def check_tools(self, tools: Sequence[ToolSpec]) -> None:
        """See `Renderer`."""
        if tools:
            self._shown.check((_QUESTION,), tools)
            self._shown.check((*_before((_RESULT,)), _RESULT), tools)

    def following(self, messages: Sequence[Message], last: int | None = None) -> list[int]:
        """See `Renderer`. Raises ConfigError if the template would rewrite the turns before `messages`."""
        rest = self._after_probe(messages)
        self._shown.check((*_before(messages), *messages), ())
        eos = self._tokenizer.eos_name
        role = Role.TOOL if any(message.role == Role.TOOL for message in messages) else Role.USER
        closing = eos if self._ends[role] == eos else self._first_marker(rest)
        start = rest.find(closing)
        text = rest[start:] if start >= 0 else eos + rest
        return unrepeated(self._tokenizer.encode_markup(text), last, self.stop)

    def answer(self, message: Message, tools: Sequence[ToolSpec] = (), then: Role | None = None) -> list[int]:
        """See `Renderer`. Raises ConfigError if the template's opening of a turn differs from the turn that it
        renders.
        """
        self._shown.check((_QUESTION, message), tools)
        prompt = self._render((_QUESTION,), tools, prompt=True)
        whole = self._render((_QUESTION, message), tools, prompt=False)
        if not whole.startswith(prompt):
            raise ConfigError(
                f"the chat template opens the assistant's turn with {prompt[-40:]!r} but renders the turn as"
                f" {whole[-80:]!r}: choose variables for which the two agree, or leave out the reasoning"
            )
        said = turn(self._tokenizer.encode_markup(whole[len(prompt) :]), self.stop)
        default = Role.TOOL if message.tool_calls else Role.USER
        return [*said, self._tokenizer.id(self._ends[then if then in self._ends else default])]

    def parse(self, ids: Sequence[int], tools: Sequence[ToolSpec] = ()) -> Message:
        """See `Renderer`."""
        return read_turn(self._tokenizer.decode_markup(turn(ids, self.stop)), tools)

    def _end(self, reply: Message) -> str:
        """What ends a turn to which `reply` replies: the end of text where the template prints it, else a marker."""
        between = self._after_probe((reply,)).partition(reply.content)[0]
        return self._tokenizer.eos_name if self._tokenizer.eos_name in between else self._first_marker(between)

    def _first_marker(self, markup: str) -> str:
        """The first control token that does not close an element of a call; the end of text where there is none."""
        found = (match[0] for match in self._tokenizer.control_names.finditer(markup))
        return next((name for name in found if not name.startswith("</")), self._tokenizer.eos_name)

    def _after_probe(self, messages: Sequence[Message]) -> str:
        """Markup from the end of a probe's answer on, when `messages` follow it."""
        probe = _before(messages)
        tools = (_PROBE,) if probe[-1].tool_calls else ()
        try:
            before = self._render(probe, tools, prompt=False)
            after = self._render((*probe, *messages), tools, prompt=True)
        except DataError as error:
            raise ConfigError(f"the chat template cannot go on after an assistant's turn: {error}") from error
        head = before[: before.rfind(_MARK) + len(_MARK)]
        parts = after.split(_MARK, maxsplit=head.count(_MARK))
        kept = after[: len(after) - len(parts[-1])]
        if not head or _THINKING.sub("", kept) != _THINKING.sub("", head):
            raise ConfigError(
                "the chat template rewrites earlier turns when messages follow, so sampled tokens cannot stay as they"
                " are: use another template for conversations of several turns"
            )
        return parts[-1]

    def _render(self, messages: Sequence[Message], tools: Sequence[ToolSpec], *, prompt: bool) -> str:
        try:
            return self._template.render(
                messages=self._plain(messages),
                tools=[self._escaped(describe(tool)) for tool in tools] or None,
                documents=None,
                add_generation_prompt=prompt,
                **self._variables,
            )
        except (jinja2.TemplateError, TypeError, ValueError, LookupError) as error:
            raise DataError(f"the chat template rejected {len(messages)} messages: {error}") from error

    def _plain(self, messages: Sequence[Message]) -> list[dict[str, Any]]:
        """Messages as templates read them. Calls get an id where they have none; results get the ids in their order."""
        plain, waiting = [], list[str]()
        for message in messages:
            row: dict[str, Any] = {"role": str(message.role), "content": self._tokenizer.escape(message.content)}
            if message.reasoning:
                reasoning = self._tokenizer.escape(message.reasoning)
                if self._separate_reasoning:
                    row["reasoning_content"] = reasoning
                else:
                    row["content"] = f"<think>\n{reasoning}\n</think>\n\n{row['content']}"
            if message.tool_calls:
                waiting = [call.id or f"call{i:05d}" for i, call in enumerate(message.tool_calls)]
                row["tool_calls"] = [
                    {
                        "id": identity,
                        "type": "function",
                        "function": self._escaped({"name": call.name, "arguments": call.arguments}),
                    }
                    for identity, call in zip(waiting, message.tool_calls, strict=True)
                ]
            if message.role == Role.TOOL:
                row["tool_call_id"] = message.tool_call_id or (waiting.pop(0) if waiting else "call00000")
            plain.append(row)
        return plain

    def _escaped(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._tokenizer.escape(value)
        if isinstance(value, dict):
            return {self._escaped(key): self._escaped(item) for key, item in value.items()}
        return [self._escaped(item) for item in value] if isinstance(value, (list, tuple)) else value


def _before(messages: Sequence[Message]) -> tuple[Message, Message]:
    """An exchange that `messages` may follow: a question, and an answer with as many calls as they have results."""
    results = [message for message in messages if message.role == Role.TOOL]
    calls = tuple(ToolCall("probe", {"x": _MARK}, message.tool_call_id) for message in results)
    return _QUESTION, Message.assistant(_MARK, tool_calls=calls)
