"""Decodes a stream of token ids to text, in pieces of whole UTF-8 characters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache

REPLACEMENT = "\ufffd"
"""The character that decoders write for bytes that are not, or not yet, UTF-8."""

_CONTEXT = 4
"""Tokens kept in front of the new ones, since a decoder may treat the first token of a text differently."""

_WINDOW = 32
"""Tokens after which the window is cut back to `_CONTEXT`, so that a long stream costs linear time."""


class Detokenizer:
    """Passes ids to `decode` and returns text when it is final.

    Trailing replacement characters are held back, because the rest of a character may follow. The pieces and the
    flushed rest join to `decode(all ids)`. One exception: with byte fallback (sentencepiece), invalid bytes turn the
    byte characters just before them into replacement characters, after those were returned.
    """

    def __init__(self, decode: Callable[[list[int]], str]) -> None:
        self._decode = decode
        self._window: list[int] = []
        self._shown = 0

    def push(self, ids: Iterable[int]) -> str:
        """Take the next ids; return the text that they complete, perhaps none."""
        self._window += ids
        text = self._decode(self._window)
        final = text.rstrip(REPLACEMENT)
        piece = final[self._shown :]
        self._shown = max(self._shown, len(final))
        if len(self._window) > _WINDOW:
            piece += self._slide(text)
        return piece

    def _slide(self, text: str) -> str:
        """Cut the window, whose text is `text`, back to its last tokens. Returns what became final by that."""
        tail = self._window[-_CONTEXT:]
        again = self._decode(tail)
        if again.rstrip(REPLACEMENT):  # a whole character: what is held back stands behind it, in both texts
            self._window, self._shown = tail, len(again.rstrip(REPLACEMENT))
            return ""
        for count in range(_CONTEXT, 0, -1):  # junk: cut where no character is cut
            head, tail = self._window[:-count], self._window[-count:]
            if (before := self._decode(head)) + self._decode(tail) == text:
                rest, self._window, self._shown = before[self._shown :], tail, 0
                return rest
        return ""

    def flush(self) -> str:
        """The text that was held back, at the end of the stream; bytes that never became a character are replacement
        characters.
        """
        rest = self._decode(self._window)[self._shown :]
        self._window, self._shown = [], 0
        return rest


def raw_bytes(name: str, *, byte_level: bool) -> bytes:
    """The bytes of a token that is not a whole text, from its name in the vocabulary.

    byte_level: the vocabulary writes each byte as a character of its own (GPT-2); else a byte is written `<0xE4>`
    (sentencepiece's byte fallback).
    """
    alphabet = _alphabet()
    if byte_level and all(character in alphabet for character in name):
        return bytes(alphabet[character] for character in name)
    fallback = re.fullmatch("<0x([0-9A-Fa-f]{2})>", name)
    return bytes([int(fallback[1], 16)]) if fallback else name.encode()


@cache
def _alphabet() -> dict[str, int]:
    """GPT-2's characters for bytes (`bytes_to_unicode`): printable Latin-1 stands for itself, the rest from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + i): byte for i, byte in enumerate(others)}
