"""Quantities of physics and chemistry: a number and a unit, compared in SI."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Literal

from pydantic import Field

from espalier.core.errors import EnvError
from espalier.envs.api import Episode
from espalier.rewards.component import place, reference
from espalier.rewards.domains.marked import LONGEST_NUMBER, VerifierConfig, said
from espalier.rewards.domains.units import unit
from espalier.rewards.mathematics.numbers import measure, rewritten

_UPRIGHT = re.compile(r"\\(?:text(?:rm)?|mathrm|mbox|operatorname)\s*\{([^{}]*)\}")
_ENDS = " \t\n.,;:*\"'$"


class QuantityConfig(VerifierConfig):
    """1 where the marked answer is the quantity of the reference, in any unit of its dimension."""

    kind: Literal["quantity"] = "quantity"
    """The reward."""
    tolerance: float = Field(default=1e-5, ge=0.0, lt=1.0)
    """Largest difference that is still right, as a share of the reference (released code of GLM-4.1V-Thinking, physics
    and chemistry)."""
    unit: Literal["optional", "required"] = "optional"
    """Without a unit, an answer is read in the unit of the reference, or is wrong if that has one (ours)."""


def quantity(config: QuantityConfig, episode: Episode) -> float:
    """1.0 or 0.0. If the reference has no unit, that of the answer does not count (ours). A unit that is not in the
    table must be written as in the reference. `1 h 30 min` is not read.

    Raises EnvError where the reference is no quantity.
    """
    expected = read(reference(episode, config.kind))
    if expected is None:
        raise EnvError(f"{place(episode)}: the reference answer {episode.task.answer!r:.80} is no quantity")
    answer = said(config, episode)
    found = read(answer) if answer is not None else None
    if found is None or (config.unit == "required" and expected[1] and not found[1]):
        return 0.0
    return float(_close(found, expected, Fraction(str(config.tolerance))))


def read(text: str) -> tuple[Fraction, str] | None:
    """The number and the unit of a text such as `v = 3.2e4 km/h`, the unit empty where there is none.

    None where the text is something else. Of an equation the last side counts.
    """
    if len(text) > LONGEST_NUMBER:
        return None
    plain = rewritten(_UPRIGHT.sub(r" \1", " ".join(text.split()))).rpartition("=")[2]
    found = measure(plain)
    if found is None:
        return None
    value, after, goes_on = found
    after = re.sub(r"\\[)\]]", " ", after).strip(_ENDS)
    if not _bare(after):
        return value, ""
    if unit(after) is None and (goes_on or re.search(r"[0-9]", after)):
        return None
    return value, after


def _close(found: tuple[Fraction, str], expected: tuple[Fraction, str], tolerance: Fraction) -> bool:
    (value, said_in), (wanted, written_in) = found, expected
    if said_in and written_in:
        one, other = unit(said_in), unit(written_in)
        if one is None or other is None:
            if _bare(said_in) != _bare(written_in):
                return False
        elif one.powers != other.powers:
            return False
        else:
            value = (one.factor * value + one.zero - other.zero) / other.factor
    return abs(value - wanted) <= tolerance * abs(wanted)


def _bare(unit_text: str) -> str:
    return " ".join(re.sub(r"[{}$\\~]", " ", unit_text).casefold().split())
