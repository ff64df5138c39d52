"""Counts: integers, exactly."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

from espalier.core.errors import EnvError
from espalier.envs.api import Episode
from espalier.rewards.component import place, reference
from espalier.rewards.domains.marked import VerifierConfig, read_number, said

_UP_TO_NINETEEN = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen
nineteen
"""
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_WORDS = {word: value for value, word in enumerate(_UP_TO_NINETEEN.split())}
_WORDS |= {word: 10 * value for value, word in enumerate(_TENS.split(), 2)}
_WORDS |= {f"{ten}-{one}": _WORDS[ten] + _WORDS[one] for ten in _TENS.split() for one in _UP_TO_NINETEEN.split()[1:10]}


class CountConfig(VerifierConfig):
    """1 where the marked answer is the integer of the reference."""

    kind: Literal["count"] = "count"
    """The reward."""
    words: bool = True
    """Read English number words up to `ninety-nine` as well."""


def count(config: CountConfig, episode: Episode) -> float:
    """1.0 or 0.0 (the rule of GLM-4.1V-Thinking's released code; the words are ours).

    Raises EnvError where the reference is no integer.
    """
    expected = read(reference(episode, config.kind), words=True)
    if expected is None:
        raise EnvError(f"{place(episode)}: the reference answer {episode.task.answer!r:.80} is no integer")
    answer = said(config, episode)
    return float(answer is not None and read(answer, words=config.words) == expected)


def read(text: str, *, words: bool) -> Fraction | None:
    """The integer that a text is, such as `12`, `12 apples` or, with `words`, `twelve`; None where it is none."""
    if words and (value := _WORDS.get(re.sub(r"[\s-]+", "-", text[:40].strip(" \t\n.*_").casefold()))) is not None:
        return Fraction(value)
    found = read_number(text)
    return found if found is not None and found.denominator == 1 else None
