"""Sorting digits.

52714=   ->   #12457
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, Literal

from pydantic import Field

from espalier.envs.catalogue.slips import swapped
from espalier.envs.procedural import Question, TaskConfig


class SortingConfig(TaskConfig):
    """Sort a row of digits into ascending order."""

    env: Literal["sorting"] = "sorting"
    """The environment."""
    length: int = Field(default=5, ge=3, le=32)
    """Digits to sort: the difficulty."""
    slips: float = Field(default=0.1, ge=0.0, le=1.0)
    """Probability, at each place of a demonstration, that two neighbours have changed places."""


class Sorting(Question[SortingConfig]):
    """Instances `{"digits": "52714"}`."""

    env_name = "sorting"

    def draw(self, random: Random) -> dict[str, Any]:
        """See `Procedural`."""
        return {"digits": "".join(random.choices("0123456789", k=self.config.length))}

    def answer(self, data: Mapping[str, Any]) -> str:
        """See `Question`."""
        return "".join(sorted(data["digits"]))

    def question(self, data: Mapping[str, Any]) -> str:
        """See `Question`."""
        return f"{data['digits']}="

    def solve(self, data: Mapping[str, Any], random: Random) -> str:
        """See `Question`."""
        return "#" + "".join(swapped(sorted(data["digits"]), self.config.slips, random))
