"""Text from a stream of token ids, in pieces that never hold half a UTF-8 character."""

from __future__ import annotations

from collections.abc import Callable, Iterable

REPLACEMENT = "\ufffd"
"""What decoders write for bytes that are not UTF-8, or not yet."""

_CONTEXT = 4
"""Tokens kept in front of the new ones, since a decoder may treat the first token of a text differently."""

_WINDOW = 32
"""Tokens after which the window is cut back to `_CONTEXT`, so that a long stream costs linear time."""


class Detokenizer:
    """Feeds ids to `decode` and hands out the text as soon as it is final.

    Trailing replacement characters are held back: the bytes of a character may still be on their way. The pieces and
    the flushed rest join to `decode(all ids)`. One exception: with byte fallback (sentencepiece), junk bytes turn the
    byte characters just before them into replacement characters, after those were handed out.
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
        if final == text and len(self._window) > _WINDOW:
            self._window = self._window[-_CONTEXT:]
            self._shown = len(self._decode(self._window))
        return piece

    def flush(self) -> str:
        """The held rest, at the end of the stream; bytes that never became a character are replacement characters."""
        rest = self._decode(self._window)[self._shown :]
        self._window, self._shown = [], 0
        return rest
