"""Loops: a response that says the same over and over. Both rules are ours; T1 (2501.11651) does not publish its own."""

from __future__ import annotations

from bisect import bisect_left

import numpy as np

SCALES = ((60, 300), (600, 3000))
"""Characters of a unit at most, and of the stretch that repeats it: five times or more."""
WORDS = 200_000
"""Words of a text, from its end, that are looked at."""
_BASE = 0x9E3779B97F4A7C15


def has_loop(text: str, n: int, times: int, within: int) -> bool:
    """Whether `repeats_words` finds a loop, which may have other words between, or `repeats` one of characters alone,
    such as one without spaces.
    """
    return any(repeats(text, *scale) for scale in SCALES) or repeats_words(text, n, times, within)


def repeats_words(text: str, n: int, times: int, within: int) -> bool:
    """Whether the same `n` words, which white space separates, begin more than `times` times within `within` words on
    end. Compared are hashes of 64 bits.
    """
    words = text.rsplit(maxsplit=WORDS)[-WORDS:]
    count = len(words) - n + 1
    if count <= times:
        return False
    numbers: dict[str, int] = {}
    codes = np.fromiter((numbers.setdefault(word, len(numbers)) for word in words), np.uint64, len(words))
    grams, factor = np.zeros(count, np.uint64), 1
    for place in range(n):
        grams += codes[place : place + count] * np.uint64(factor)
        factor = factor * _BASE % 2**64
    order = np.argsort(grams, kind="stable")
    first, later = order[: count - times], order[times:]
    return bool(((grams[first] == grams[later]) & (later - first < within)).any())


def repeats(text: str, longest: int, stretch: int) -> bool:
    """Whether `stretch` characters on end have a period of at most `longest`, which is a fifth of `stretch` or less.

    A stretch holds one of the blocks that the text is cut into, and a block shows its period by where its beginning
    occurs again. Then the block is extended to both sides.
    """
    block = (stretch + 1) // 2
    for place in range(0, len(text) - block + 1, block):
        part = text[place : place + block]
        period = part.find(part[: block - longest], 1)
        if period < 0 or part[: block - period] != part[period:]:
            continue
        ahead = _agreeing(text, place + block, period, min(stretch, len(text) - place - block))
        behind = _agreeing_back(text, place, period, min(stretch, place))
        if behind + block + ahead >= stretch:
            return True
    return False


def _agreeing(text: str, place: int, period: int, most: int) -> int:
    """Characters from `place` on, up to `most`, that are those one period before."""
    return bisect_left(
        range(1, most + 1),
        True,
        key=lambda n: text[place : place + n] != text[place - period : place - period + n],
    )


def _agreeing_back(text: str, place: int, period: int, most: int) -> int:
    """Characters before `place`, up to `most`, that are those one period after."""
    return bisect_left(
        range(1, most + 1),
        True,
        key=lambda n: text[place - n : place] != text[place - n + period : place + period],
    )
