"""GLM-4.5's chat format (zai-org/GLM-4.5, chat_template.jinja), with and without thinking.

    [gMASK]<sop><|system|>\\n# Tools ...<|user|>\\nquestion<|assistant|>\\n<think>...</think>\\nanswer<|user|>

No token ends a turn: the next speaker's marker does, so the model samples `<|user|>` when it has answered and
`<|observation|>` when it has called a tool. That marker is part of the sampled turn, is trained, and `following` does
not repeat it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from espalier.core.messages import Message, Role, ToolSpec
from espalier.lm.chat.markup import describe, read_turn, write_call
from espalier.lm.chat.protocol import Renderer, turn, unrepeated
from espalier.lm.tokens import Tokenizer

_TOOLS = """<|system|>
# Tools

You may call one or more functions to assist with the user query.

You are provided with function signatures within <tools></tools> XML tags:
<tools>
{tools}
</tools>

For each function call, output the function name and arguments within the following XML format:
<tool_call>{{function-name}}
<arg_key>{{arg-key-1}}</arg_key>
<arg_value>{{arg-value-1}}</arg_value>
<arg_key>{{arg-key-2}}</arg_key>
<arg_value>{{arg-value-2}}</arg_value>
...
</tool_call>"""

_NO_THINKING = "\n<think></think>"


class GLMRenderer(Renderer):
    """Renders for a tokenizer with the control tokens of `GLM_ROLES`; those of `GLM_MARKUP` that are missing are
    written as text.

    Without `thinking`, user messages end in `/nothink` and the assistant's turn opens with an empty thinking block;
    reasoning in a demonstration is then left out. As in GLM-4.5, `opening` leaves out the reasoning of turns before the
    last user message; a rollout keeps what was sampled.
    """

    def __init__(self, tokenizer: Tokenizer, *, thinking: bool = True) -> None:
        self._tokenizer = tokenizer
        self._thinking = thinking
        self._prompt = "<|assistant|>" + ("" if thinking else _NO_THINKING)
        self._next = {Role.USER: tokenizer.id("<|user|>"), Role.TOOL: tokenizer.id("<|observation|>")}
        self.stop = (*self._next.values(), tokenizer.eos_id)

    def opening(self, messages: Sequence[Message], tools: Sequence[ToolSpec] = ()) -> list[int]:
        """See `Renderer`."""
        listed = "\n".join(json.dumps(describe(tool), ensure_ascii=False) for tool in tools)
        system = _TOOLS.format(tools=self._tokenizer.escape(listed)) if tools else ""
        return self._tokenizer.encode_markup("[gMASK]<sop>" + system + self._turns(messages) + self._prompt)

    def following(self, messages: Sequence[Message], last: int | None = None) -> list[int]:
        """See `Renderer`. If the sampled marker does not fit the new message, the right one is added."""
        return unrepeated(self._tokenizer.encode_markup(self._turns(messages) + self._prompt), last, self.stop)

    def answer(self, message: Message, tools: Sequence[ToolSpec] = (), then: Role | None = None) -> list[int]:
        """See `Renderer`."""
        text = self._think(message.reasoning) + self._said(message) if self._thinking else self._said(message)
        default = Role.TOOL if message.tool_calls else Role.USER
        return [*self._tokenizer.encode_markup(text), self._next.get(then or default, self._next[default])]

    def parse(self, ids: Sequence[int], tools: Sequence[ToolSpec] = ()) -> Message:
        """See `Renderer`."""
        return read_turn(self._tokenizer.decode_markup(turn(ids, self.stop)), tools)

    def _turns(self, messages: Sequence[Message]) -> str:
        escape = self._tokenizer.escape
        asked = max((i for i, message in enumerate(messages) if message.role == Role.USER), default=-1)
        text, before = "", None
        for i, message in enumerate(messages):
            match message.role:
                case Role.SYSTEM:
                    text += f"<|system|>\n{escape(message.content)}"
                case Role.USER:
                    switch = "" if self._thinking or message.content.endswith("/nothink") else "/nothink"
                    text += f"<|user|>\n{escape(message.content)}{switch}"
                case Role.TOOL:
                    marker = "" if before == Role.TOOL else "<|observation|>"
                    text += f"{marker}\n<tool_response>\n{escape(message.content)}\n</tool_response>"
                case Role.ASSISTANT:
                    text += "<|assistant|>" + self._think(message.reasoning if i > asked else "") + self._said(message)
            before = message.role
        return text

    def _think(self, reasoning: str) -> str:
        return f"\n<think>{self._tokenizer.escape(reasoning.strip())}</think>"

    def _said(self, message: Message) -> str:
        parts = [self._tokenizer.escape(message.content.strip())] if message.content.strip() else []
        return "".join(f"\n{part}" for part in [*parts, *(write_call(c, self._tokenizer) for c in message.tool_calls)])
