"""The final number of a response against the reference: GSM8K's rule, exact arithmetic."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

from pydantic import Field

from espalier.core.errors import EnvError
from espalier.envs.api import Episode
from espalier.envs.boxes import last_boxes
from espalier.rewards.component import ComponentConfig, place, reference
from espalier.rewards.mathematics.numbers import LONGEST, UnclearError, final, last, number, rewritten

MARKERS = ("####", "A:", "\\boxed{", "answer is", "answer:")
"""What final answers are announced with: GSM8K's solutions, its recorded model solutions, and the usual phrases."""
_WINDOW = 2 * LONGEST
"""Characters after a marker, or at the end of a response, in which its number is looked for."""
_MOST = 50
"""Markers, from the end, after which one is looked for."""


class NumericConfig(ComponentConfig):
    """1 where the number after the last marker equals the reference answer."""

    kind: Literal["numeric"] = "numeric"
    """The reward."""
    markers: tuple[str, ...] = MARKERS
    """Announcements of the final number; the last one that a number follows counts."""
    otherwise: Literal["wrong", "last_number"] = "wrong"
    """Without a marker the response is wrong, or its last number counts."""
    tolerance: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Largest difference that is still right, as a share of the reference."""


class Numeric:
    """The reward. `numbers` says what is read as a number; signs of money and `%` do not count."""

    def __init__(self, config: NumericConfig) -> None:
        self._config = config
        self._marker = re.compile("|".join(map(_announced, config.markers))) if config.markers else None

    def __call__(self, episode: Episode) -> float:
        """Raises EnvError where the reference is no number."""
        expected = number(reference(episode, "numeric"))
        if expected is None:
            raise EnvError(f"{place(episode)}: the reference answer {episode.task.answer!r:.80} is no number")
        try:
            found = self._final(episode.response)
        except UnclearError:
            return 0.0
        if found is None:
            return 0.0
        return float(abs(found - expected) <= Fraction(self._config.tolerance) * abs(expected))

    def _final(self, response: str) -> Fraction | None:
        """The number after the last marker that one follows. Raises UnclearError where it is a part of more."""
        marks = list(self._marker.finditer(response)) if self._marker else []
        if marks and marks[-1][0].startswith("\\boxed") and len(set(last_boxes(response[-LONGEST:]))) > 1:
            raise UnclearError
        for end in [mark.end() for mark in reversed(marks[-_MOST:])]:
            if (found := final(rewritten(response[end : end + _WINDOW]))) is not None:
                return found
        return last(rewritten(response[-_WINDOW:])) if self._config.otherwise == "last_number" else None


def _announced(marker: str) -> str:
    """The pattern of a marker: emphasis within does not count, nor does case where it is longer than two characters."""
    pattern = r"[*_]*".join(re.escape(character) for character in marker)
    return f"(?i:{pattern})" if len(marker) > 2 else re.escape(marker)
