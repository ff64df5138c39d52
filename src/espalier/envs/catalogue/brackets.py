"""Balancing brackets: the closing brackets that a prefix still needs.

    [({}(=   ->   #))]

The answer is one sequence among many, where a yes-or-no question would be right half of the time by chance.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, Literal

from pydantic import Field

from espalier.envs.catalogue.slips import swapped
from espalier.envs.procedural import Question, TaskConfig

PAIRS = {"(": ")", "[": "]", "{": "}", "<": ">"}


class BracketsConfig(TaskConfig):
    """Close all brackets that are open."""

    env: Literal["brackets"] = "brackets"
    """The environment."""
    length: int = Field(default=8, ge=3, le=64)
    """Brackets in the question: the difficulty."""
    kinds: int = Field(default=3, ge=1, le=4)
    """Kinds of brackets."""
    slips: float = Field(default=0.1, ge=0.0, le=1.0)
    """Probability, at each place of a demonstration, that two neighbours have changed places."""


class Brackets(Question[BracketsConfig]):
    """Instances `{"prefix": "[({}("}`; at least one bracket is open."""

    env_name = "brackets"

    @property
    def guess_rate(self) -> float:
        """See `Procedural`. The form: closing brackets, as many as may be open after so many brackets."""
        length, kinds = self.config.length, self.config.kinds
        return 1 / sum(kinds**still_open for still_open in range(length, 0, -2))

    def draw(self, random: Random) -> dict[str, Any]:
        """See `Procedural`."""
        opening = list(PAIRS)[: self.config.kinds]
        prefix, still_open = "", ""
        for left in range(self.config.length, 0, -1):
            closes = len(still_open) > 1 and random.random() < 0.5
            if closes or (len(still_open) == 1 and left > 1 and random.random() < 0.3):
                prefix, still_open = prefix + PAIRS[still_open[-1]], still_open[:-1]
            else:
                still_open += random.choice(opening)
                prefix += still_open[-1]
        return {"prefix": prefix}

    def answer(self, data: Mapping[str, Any]) -> str:
        """See `Question`."""
        return closing(data["prefix"])

    def question(self, data: Mapping[str, Any]) -> str:
        """See `Question`."""
        return f"{data['prefix']}="

    def solve(self, data: Mapping[str, Any], random: Random) -> str:
        """See `Question`."""
        return "#" + "".join(swapped(list(closing(data["prefix"])), self.config.slips, random))


def closing(prefix: str) -> str:
    """The brackets that close a balanced prefix."""
    needed: list[str] = []
    for bracket in prefix:
        if bracket in PAIRS:
            needed.append(PAIRS[bracket])
        else:
            needed.pop()
    return "".join(reversed(needed))
