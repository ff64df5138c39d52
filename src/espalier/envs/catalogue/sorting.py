"""Sorting digits.

    52714=   ->   #12457
    52714=   ->   1:5274 2:574 4:57 5:7 7: #12457

The second demonstration has `steps`: each step takes the smallest digit and copies the digits that remain.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import comb
from random import Random
from typing import Any, ClassVar, Literal

from pydantic import Field

from espalier.envs.catalogue.slips import swapped
from espalier.envs.procedural import Question, TaskConfig


class SortingConfig(TaskConfig):
    """Sort a row of digits into ascending order."""

    later: ClassVar[frozenset[str]] = TaskConfig.later | {"steps"}

    env: Literal["sorting"] = "sorting"
    """The environment."""
    length: int = Field(default=5, ge=3, le=32)
    """Digits to sort: the difficulty."""
    slips: float = Field(default=0.1, ge=0.0, le=1.0)
    """Probability, at each place of a demonstration, that two neighbours have changed places; with `steps`, at each
    step, that the second smallest digit is taken."""
    steps: bool = False
    """Whether demonstrations sort in written steps, so that long rows can be sorted: a selection sort."""


class Sorting(Question[SortingConfig]):
    """Instances `{"digits": "52714"}`."""

    env_name = "sorting"

    @property
    def guess_rate(self) -> float:
        """See `Procedural`. The form: as many digits, in ascending order."""
        return 1 / comb(self.config.length + 9, 9)

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
        if self.config.steps:
            return self._work(data["digits"], random)
        return "#" + "".join(swapped(sorted(data["digits"]), self.config.slips, random))

    def _work(self, left: str, random: Random) -> str:
        steps, taken = [], ""
        while left:
            smallest, *others = sorted(set(left))
            digit = others[0] if others and random.random() < self.config.slips else smallest
            left = left.replace(digit, "", 1)
            taken += digit
            steps.append(f"{digit}:{left}")
        return f"{' '.join(steps)} #{taken}"
