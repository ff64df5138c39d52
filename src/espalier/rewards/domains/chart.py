"""Values read from charts: years exactly, other numbers within a tolerance, names as text."""

from __future__ import annotations

from fractions import Fraction
from typing import Literal

from pydantic import Field

from espalier.envs.api import Episode
from espalier.rewards.answer import same
from espalier.rewards.component import reference
from espalier.rewards.domains.marked import VerifierConfig, read_number, said
from espalier.rewards.mathematics.numbers import number

YEARS = range(1000, 3001)
"""Integers that may be years (released code of GLM-4.1V-Thinking)."""


class ChartConfig(VerifierConfig):
    """1 where the marked answer is the value of the reference, or its text."""

    kind: Literal["chart"] = "chart"
    """The reward."""
    tolerance: float = Field(default=0.025, ge=0.0, lt=1.0)
    """Largest difference of numbers that is still right, as a share of the reference."""


def chart(config: ChartConfig, episode: Episode) -> float:
    """1.0 or 0.0. Two integers from 1000 to 3000 must be equal. Units, money and `%` do not count. Names are compared
    as `answer` does. The rule and its tolerance are those of the released code of GLM-4.1V-Thinking (2507.01006), which
    lets a judge decide where we compare text. Raises EnvError where the task has no reference.
    """
    expected = reference(episode, config.kind)
    answer = said(config, episode)
    if answer is None:
        return 0.0
    wanted = number(expected)
    if wanted is None:
        return float(same(answer, expected))
    found = read_number(answer)
    return float(found is not None and _near(found, wanted, Fraction(str(config.tolerance))))


def _near(found: Fraction, wanted: Fraction, tolerance: Fraction) -> bool:
    if found in YEARS and wanted in YEARS:
        return found == wanted
    return abs(found - wanted) <= tolerance * abs(wanted)
