"""Sums and differences of several numbers, term by term.

31+52-17=   ->   31+52=83 83-17=66 #66
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, Literal

from pydantic import Field

from espalier.envs.catalogue.slips import slipped
from espalier.envs.procedural import Question, TaskConfig


class ChainSumsConfig(TaskConfig):
    """Add and subtract `terms` numbers of `digits` digits. No partial sum is below zero."""

    env: Literal["chain_sums"] = "chain_sums"
    """The environment."""
    terms: int = Field(default=3, ge=2, le=20)
    """Numbers in the chain: the difficulty."""
    digits: int = Field(default=2, ge=1, le=9)
    """Digits of each number."""
    direct: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of demonstrations without steps: the answer, more often wrong than right."""
    slips: float = Field(default=0.05, ge=0.0, le=1.0)
    """Probability that a worked step of a demonstration is wrong."""


class ChainSums(Question[ChainSumsConfig]):
    """Instances `{"terms": [31, 52, -17]}`."""

    env_name = "chain_sums"

    @property
    def guess_rate(self) -> float:
        """See `Procedural`. The form: a whole number from zero to the largest sum."""
        return 1 / (self.config.terms * (10**self.config.digits - 1) + 1)

    def draw(self, random: Random) -> dict[str, Any]:
        """See `Procedural`."""
        low, high = 10 ** (self.config.digits - 1), 10**self.config.digits
        terms = [random.randrange(low, high)]
        for _ in range(self.config.terms - 1):
            number = random.randrange(low, high)
            minus = random.random() < 0.5 and number <= sum(terms)
            terms.append(-number if minus else number)
        return {"terms": terms}

    def answer(self, data: Mapping[str, Any]) -> str:
        """See `Question`."""
        return str(sum(data["terms"]))

    def question(self, data: Mapping[str, Any]) -> str:
        """See `Question`."""
        first, *rest = data["terms"]
        return f"{first}{''.join(f'{term:+d}' for term in rest)}="

    def solve(self, data: Mapping[str, Any], random: Random) -> str:
        """See `Question`."""
        if random.random() < self.config.direct:
            return f"#{slipped(sum(data['terms']), 0.7, random)}"
        total, *rest = data["terms"]
        steps = []
        for term in rest:
            result = slipped(total + term, self.config.slips, random)
            steps.append(f"{total}{term:+d}={result}")
            total = result
        return f"{' '.join(steps)} #{total}"
