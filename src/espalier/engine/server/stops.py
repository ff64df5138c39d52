"""Finds texts that end an answer while the answer arrives in pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Cut(NamedTuple):
    """The text that is final now; the stop text that ended it, if any; and the rest of the piece behind it."""

    text: str
    stop: str | None = None
    rest: str = ""


class Stops:
    """Returns text up to the first complete stop text of `stops`, and holds back text that may become one.

    Each character costs amortised constant time per stop text (Knuth, Morris, Pratt 1977), however long that is: its
    table is only computed as far as the text has matched.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._matches = [_Match(stop) for stop in stops]
        self._held = ""

    def push(self, piece: str) -> Cut:
        """Add the next piece. If two stop texts are complete at the same character, the longer one is used."""
        if not self._matches:
            return Cut(piece)
        text = self._held + piece
        for place in range(len(self._held), len(text)):
            done = [match for match in self._matches if match.take(text[place])]
            if done:
                stop = max((match.stop for match in done), key=len)
                self._held = ""
                for match in self._matches:
                    match.length = 0
                return Cut(text[: place + 1 - len(stop)], stop, text[place + 1 :])
        held = max(match.length for match in self._matches)
        self._held = text[len(text) - held :]
        return Cut(text[: len(text) - held])

    def flush(self) -> str:
        """What was held back, at the end of the text."""
        held, self._held = self._held, ""
        return held


class _Match:
    """How much of one stop text the end of the text is. `length`: its characters."""

    def __init__(self, stop: str) -> None:
        self.stop, self.length = stop, 0
        self._borders = [0]

    def take(self, character: str) -> bool:
        """Whether `character` completes the stop text."""
        self.length = self._after(self.length, character)
        return self.length == len(self.stop)

    def _after(self, length: int, character: str) -> int:
        """How much of the stop text stands at the end when `character` follows its first `length` characters."""
        while length and self.stop[length] != character:
            length = self._border(length)
        return length + (self.stop[length] == character)

    def _border(self, length: int) -> int:
        """The longest proper beginning of the stop text's first `length` characters that is also their end."""
        while len(self._borders) < length:
            self._borders.append(self._after(self._borders[-1], self.stop[len(self._borders)]))
        return self._borders[length - 1]
