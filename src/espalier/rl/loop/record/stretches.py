"""Which part of a text the weights of which version sampled."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from espalier.lm.detokenizer import Detokenizer

Stretch = tuple[int, int]
"""A version, and a number of characters; version -1 for what was not sampled."""


def stretches(
    ids: Sequence[int], versions: Sequence[int], decode: Callable[[Sequence[int]], str]
) -> tuple[str, list[Stretch]]:
    """The text of `ids`, and its stretches of one version each, in order; together they have all its characters.

    A character whose bytes two versions sampled belongs to the later.
    """
    stream, place = Detokenizer(decode), 0
    parts: list[tuple[int, str]] = []
    for version, run in groupby(versions):
        begin, place = place, place + len(list(run))
        parts.append((version, stream.push(ids[begin:place])))
    rest = stream.flush()
    parts = [*parts, (versions[-1], rest)] if rest else parts
    found: list[Stretch] = []
    for version, part in parts:
        if part:
            before = found.pop()[1] if found and found[-1][0] == version else 0
            found.append((version, before + len(part)))
    return "".join(part for _, part in parts), found


def clipped(some: Sequence[Stretch], begin: int, end: int) -> list[Stretch]:
    """The stretches of the characters `begin:end`."""
    found, at = [], 0
    for version, length in some:
        kept = min(end, at + length) - max(begin, at)
        if kept > 0:
            found.append((version, kept))
        at += length
    return found
