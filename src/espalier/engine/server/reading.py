"""Converts the sampled ids of one answer to pieces of text, in time linear in their number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple, Protocol

from espalier.core.messages import Message, ToolSpec
from espalier.engine.server.stops import Stops
from espalier.lm.chat import Renderer
from espalier.lm.tokens import Tokenizer

OPEN, CLOSE = "<think>", "</think>"
_PROMPT_END = 8
"""Tokens at the end of a prompt among which the opening of a thinking block is looked for."""


class Piece(NamedTuple):
    """Text that is final: of the thinking block, of the answer. `restart`: the content so far is reasoning."""

    reasoning: str = ""
    content: str = ""
    restart: bool = False


class Reading(Protocol):
    """Takes the ids of one answer one by one."""

    def push(self, token: int) -> Piece:
        """The text that `token` completes. All pieces together are the beginning of the result of `end`."""
        ...

    def end(self, ids: Sequence[int]) -> Message:
        """The whole answer."""
        ...


class TextReading:
    """A plain completion: everything is content, except the end-of-text token."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer, self._stream = tokenizer, tokenizer.stream(skip_special=False)

    def push(self, token: int) -> Piece:
        """See `Reading`."""
        return Piece() if token == self._tokenizer.eos_id else Piece(content=self._stream.push([token]))

    def end(self, ids: Sequence[int]) -> Message:
        """See `Reading`."""
        ended = len(ids) > 0 and ids[-1] == self._tokenizer.eos_id
        return Message.assistant(self._tokenizer.decode(ids[:-1] if ended else ids))


class ChatReading:
    """A turn of a chat. The renderer parses the whole turn; before that, text is split at the thinking marks.

    `opened`: the prompt ends inside a thinking block. If the turn closes a block that was not opened, the content so
    far is repeated as reasoning. White space at the end is held back, because the renderer may remove it.
    """

    def __init__(self, tokenizer: Tokenizer, renderer: Renderer, tools: Sequence[ToolSpec], *, opened: bool) -> None:
        self._tokenizer, self._renderer, self._tools = tokenizer, renderer, tools
        self._stream = tokenizer.stream(skip_special=False)
        self._marks = Stops([CLOSE] if opened else [OPEN, CLOSE])
        self._before = tokenizer.encode_markup(OPEN) if opened else []
        self._ids = list(self._before)
        self._said = {True: _Channel(), False: _Channel()}
        self._thinks = opened

    def push(self, token: int) -> Piece:
        """See `Reading`."""
        self._ids.append(token)
        if token in self._renderer.stop:
            return Piece()
        if token not in self._tokenizer.control_ids:
            return self._take(self._stream.push([token]))
        before = self._stream.flush()
        self._stream = self._tokenizer.stream(skip_special=False)
        return self._take(before + self._tokenizer.control_ids[token])

    def end(self, ids: Sequence[int]) -> Message:
        """See `Reading`. Without tools there are no calls: text that looks like one is text."""
        ids = [*self._before, *ids]
        message = self._renderer.parse(ids, self._tools)
        if self._tools or not message.tool_calls:
            return message
        text = self._tokenizer.decode([token for token in ids if token not in self._renderer.stop])
        head, closed, rest = text.partition(CLOSE)
        return replace(message, content=(rest if closed else head.partition(OPEN)[0]).strip(), tool_calls=())

    def _take(self, text: str) -> Piece:
        pieces, restart = {True: "", False: ""}, False
        while True:
            final, mark, text = self._marks.push(text)
            pieces[self._thinks] += self._said[self._thinks].take(final, self._begins_blank)
            if mark is None:
                return Piece(pieces[True], pieces[False], restart)
            if mark == CLOSE and not self._thinks:
                restart, pieces = True, {True: self._said[False].restart(), False: ""}
            self._thinks = mark == OPEN
            self._marks = Stops([CLOSE] if self._thinks else [])

    def _begins_blank(self) -> bool:
        """Whether the renderer keeps white space at the beginning of what is said now."""
        message = self._renderer.parse(self._ids, self._tools)
        return (message.reasoning if self._thinks else message.content)[:1].isspace()


class _Channel:
    """Text of one kind; white space at its end is held back, and at its beginning kept or not."""

    def __init__(self) -> None:
        self._text, self._blank = list[str](), ""

    def take(self, text: str, begins_blank: Callable[[], bool]) -> str:
        """The text that is final when `text` follows."""
        text = self._blank + text
        final = text.rstrip()
        self._blank = text[len(final) :]
        if final and not self._text and final[0].isspace() and not begins_blank():
            final = final.lstrip()
        if final:
            self._text.append(final)
        return final

    def restart(self) -> str:
        """Remove and return the text so far."""
        said = "".join(self._text)
        self._text, self._blank = [], ""
        return said


def opened(tokenizer: Tokenizer, prompt: Sequence[int]) -> bool:
    """Whether a prompt ends with the opening of a thinking block."""
    return tokenizer.decode(list(prompt[-_PROMPT_END:])).rstrip().endswith(OPEN)
