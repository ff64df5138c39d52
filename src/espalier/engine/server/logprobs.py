"""Log-probs of sampled tokens in the formats of OpenAI's two endpoints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from espalier.engine.api import Progress
from espalier.lm.tokens import Tokenizer

MOST = 2**18
"""Largest number of log-probs in one answer without streaming, including alternatives: writing them takes about half a
second."""


class Names:
    """Texts and bytes of tokens, each computed once."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._known: dict[int, tuple[str | None, bytes]] = {}

    def __call__(self, token: int) -> tuple[str | None, bytes]:
        """The token's bytes, and its text if they are whole characters."""
        if token not in self._known:
            own = self._tokenizer.token_bytes(token)
            try:
                self._known[token] = own.decode(), own
            except UnicodeDecodeError:
                self._known[token] = None, own
        return self._known[token]


def chat_note(names: Names) -> Callable[[Progress], dict[str, Any]]:
    """Writes a token, its bytes and log-prob, and those of its most probable alternatives.

    A part of a character is written as its bytes, `\\xf0\\x9f`.
    """

    def entry(token: int, logprob: float) -> dict[str, Any]:
        text, own = names(token)
        return {"token": _escaped(own) if text is None else text, "logprob": logprob, "bytes": list(own)}

    def note(item: Progress) -> dict[str, Any]:
        return {**entry(item.token, item.raw_logprob), "top_logprobs": [entry(*rival) for rival in item.top]}

    return note


def completion_note(names: Names, tokenizer: Tokenizer, end: int) -> Callable[[Progress], tuple[Any, ...]]:
    """Writes a token, its log-prob, its alternatives (including itself), and the offset of its text in the answer.

    A part of a character is written `bytes:\\xf0\\x9f` and begins where the character begins. `end` ends the text.
    """
    stream, length = tokenizer.stream(skip_special=False), 0

    def name(token: int) -> str:
        text, own = names(token)
        return f"bytes:{_escaped(own)}" if text is None else text

    def note(item: Progress) -> tuple[Any, ...]:
        nonlocal length
        begin = length
        if item.token != end:
            length += len(stream.push([item.token]))
        rivals: dict[str, float] = {}
        for token, logprob in [*item.top, (item.token, item.raw_logprob)]:
            rivals.setdefault(name(token), logprob)  # names may repeat: the more probable counts
        return name(item.token), item.raw_logprob, rivals, begin

    return note


def legacy(notes: Sequence[tuple[Any, ...]]) -> dict[str, list[Any]]:
    """The `logprobs` of a plain completion."""
    columns = ("tokens", "token_logprobs", "top_logprobs", "text_offset")
    return {column: [note[i] for note in notes] for i, column in enumerate(columns)}


def _escaped(own: bytes) -> str:
    return "".join(f"\\x{byte:02x}" for byte in own)
