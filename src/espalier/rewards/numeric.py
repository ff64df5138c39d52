"""The final number of a response against the reference: GSM8K's rule, exact arithmetic."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

from pydantic import Field

from espalier.core.errors import EnvError
from espalier.envs.api import Episode
from espalier.rewards.component import ComponentConfig, reference

MARKERS = ("####", "A:", "\\boxed{", "answer is")
"""What final answers are announced with: GSM8K's solutions, its recorded model solutions, and the usual phrases."""
_NUMBER = r"[-+]?\$?[-+]?(?:[0-9][0-9,]*(?:\.[0-9]+)?|\.[0-9]+)(?:/[0-9]+)?"
_LAST = re.compile(_NUMBER)
_LONGEST = 100
"""Characters of a number that is still read."""


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
    """The reward; `$`, thousands separators and a `%` sign do not count, fractions do."""

    def __init__(self, config: NumericConfig) -> None:
        self._config = config
        marker = "|".join(re.escape(marker) for marker in config.markers)
        self._marked = re.compile(rf"(?:{marker})[:\s]*({_NUMBER})") if marker else None

    def __call__(self, episode: Episode) -> float:
        """Raises EnvError where the reference is no number."""
        expected = number(reference(episode, "numeric"))
        if expected is None:
            raise EnvError(f"{episode.task.env}: the reference answer {episode.task.answer!r:.80} is no number")
        found = self._final(episode.response)
        if found is None:
            return 0.0
        return float(abs(found - expected) <= Fraction(self._config.tolerance) * abs(expected))

    def _final(self, response: str) -> Fraction | None:
        found = self._marked.findall(response) if self._marked else []
        if not found and self._config.otherwise == "last_number":
            found = _LAST.findall(response)
        return number(found[-1]) if found else None


def number(text: str) -> Fraction | None:
    """The exact value of a number as people write it, None where it is none."""
    plain = text.strip().rstrip("%").replace(",", "").replace("$", "").rstrip(".")
    if len(plain) > _LONGEST or not _LAST.fullmatch(plain):
        return None
    try:
        return Fraction(plain)
    except (ValueError, ZeroDivisionError):
        return None
