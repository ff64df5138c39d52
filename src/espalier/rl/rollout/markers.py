"""Texts that begin an answer, found among tokens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def marked_at(pieces: Iterable[str], markers: Sequence[str]) -> int | None:
    """The place of the token that completes the first of the `markers`; None without one.

    pieces: the text that each token adds (`Tokenizer.pieces`).
    """
    text, longest = "", max(map(len, markers), default=0)
    for place, piece in enumerate(pieces):
        text = text[-longest:] + piece
        if any(marker in text for marker in markers):
            return place
    return None
