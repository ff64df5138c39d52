"""Multiplication with worked steps: digit by digit from the right, carries written out.

    347*6=   ->   7*6=42 4*6+4=28 3*6+2=20 #2082

A worked answer is a row of small local steps, a direct one (`#2082`) a guess. Demonstrations mix the two, with slips,
so that imitation alone is mediocre and reinforcement has something to find.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, Literal

from pydantic import Field

from espalier.envs.catalogue.slips import slipped
from espalier.envs.procedural import Question, TaskConfig


class MultiplicationConfig(TaskConfig):
    """A number of `digits` digits times one digit."""

    env: Literal["multiplication"] = "multiplication"
    """The environment."""
    digits: int = Field(default=3, ge=1, le=12)
    """Digits of the first factor: the difficulty."""
    direct: float = Field(default=0.6, ge=0.0, le=1.0)
    """Share of demonstrations without steps: right top and last digits, guesses between."""
    slips: float = Field(default=0.05, ge=0.0, le=1.0)
    """Probability that a worked step of a demonstration is wrong."""


class Multiplication(Question[MultiplicationConfig]):
    """Instances `{"a": 347, "b": 6}`."""

    env_name = "multiplication"

    @property
    def guess_rate(self) -> float:
        """See `Procedural`. The form: a number that is one of the products. 0.0, for less than one in a thousand, above
        three digits.
        """
        if self.config.digits > 3:
            return 0.0
        low, high = 10 ** (self.config.digits - 1), 10**self.config.digits
        return 1 / len({a * b for a in range(low, high) for b in range(2, 10)})

    def draw(self, random: Random) -> dict[str, Any]:
        """See `Procedural`."""
        digits = self.config.digits
        return {"a": random.randrange(10 ** (digits - 1), 10**digits), "b": random.randrange(2, 10)}

    def answer(self, data: Mapping[str, Any]) -> str:
        """See `Question`."""
        return str(data["a"] * data["b"])

    def question(self, data: Mapping[str, Any]) -> str:
        """See `Question`."""
        return f"{data['a']}*{data['b']}="

    def solve(self, data: Mapping[str, Any], random: Random) -> str:
        """See `Question`."""
        if random.random() < self.config.direct:
            return f"#{self._guess(data['a'] * data['b'], random)}"
        return self._work(data["a"], data["b"], random)

    def _guess(self, answer: int, random: Random) -> str:
        digits = list(str(answer))
        for place in range(1, len(digits) - 1):
            if random.random() < 0.5:
                digits[place] = str(random.randrange(10))
        return "".join(digits)

    def _work(self, a: int, b: int, random: Random) -> str:
        steps, low, carry = [], "", 0
        for place, digit in enumerate(reversed(str(a))):
            result = slipped(int(digit) * b + carry, self.config.slips, random)
            steps.append(f"{digit}*{b}={result}" if place == 0 else f"{digit}*{b}+{carry}={result}")
            carry, last = divmod(result, 10)
            low = f"{last}{low}"
        top = str(carry) if carry else ""
        return f"{' '.join(steps)} #{top}{low}"
