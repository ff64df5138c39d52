"""Reversing letters.

kqbad=   ->   #dabqk
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from string import ascii_lowercase
from typing import Any, Literal

from pydantic import Field

from espalier.envs.catalogue.slips import swapped
from espalier.envs.procedural import Question, TaskConfig


class ReverseConfig(TaskConfig):
    """Write a word of random letters backwards."""

    env: Literal["reverse"] = "reverse"
    """The environment."""
    length: int = Field(default=6, ge=2, le=64)
    """Letters: the difficulty."""
    letters: int = Field(default=8, ge=2, le=26)
    """Different letters that occur."""
    slips: float = Field(default=0.1, ge=0.0, le=1.0)
    """Probability, at each place of a demonstration, that two neighbours have changed places."""


class Reverse(Question[ReverseConfig]):
    """Instances `{"word": "kqbad"}`."""

    env_name = "reverse"

    @property
    def guess_rate(self) -> float:
        """See `Procedural`. The form: a word of as many letters."""
        return float(self.config.letters) ** -self.config.length

    def draw(self, random: Random) -> dict[str, Any]:
        """See `Procedural`."""
        return {"word": "".join(random.choices(ascii_lowercase[: self.config.letters], k=self.config.length))}

    def answer(self, data: Mapping[str, Any]) -> str:
        """See `Question`."""
        return data["word"][::-1]

    def question(self, data: Mapping[str, Any]) -> str:
        """See `Question`."""
        return f"{data['word']}="

    def solve(self, data: Mapping[str, Any], random: Random) -> str:
        """See `Question`."""
        return "#" + "".join(swapped(list(data["word"][::-1]), self.config.slips, random))
