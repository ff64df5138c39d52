"""Factoring: the two primes of a product, by trial division.

    91=   ->   91/2 no 91/3 no 91/7=13 #7*13

A worked demonstration checks one divisor after the other, a direct one guesses. The answer is checked with one
multiplication; to find it takes as many attempts as there are smaller primes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from math import isqrt
from random import Random
from typing import Any, Literal

from pydantic import Field

from espalier.envs.procedural import Question, TaskConfig

_ANSWER = re.compile(r"([1-9][0-9]{0,8})\*([1-9][0-9]{0,8})")


class FactoringConfig(TaskConfig):
    """Take a product of two primes apart."""

    env: Literal["factoring"] = "factoring"
    """The environment."""
    largest: int = Field(default=50, ge=7, le=1000)
    """Largest prime: the difficulty. There are 15 primes up to 50, and so 120 products."""
    tries: int = Field(default=5, ge=0, le=200)
    """Wrong divisors, at most, that a worked demonstration checks before the right one: the smaller primes in ascending
    order, some of them left out where there are more."""
    direct: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of demonstrations that name a prime and the rounded quotient without a check."""
    slips: float = Field(default=0.05, ge=0.0, le=1.0)
    """Probability that a check of a demonstration says the opposite."""


class Factoring(Question[FactoringConfig]):
    """Instances `{"number": 91}`; the factors may be equal."""

    env_name = "factoring"

    @property
    def guess_rate(self) -> float:
        """See `Procedural`. The form: two primes up to the largest, the smaller first."""
        count = len(primes(self.config.largest))
        return 2 / (count * (count + 1))

    def draw(self, random: Random) -> dict[str, Any]:
        """See `Procedural`."""
        known = primes(self.config.largest)
        return {"number": random.choice(known) * random.choice(known)}

    def answer(self, data: Mapping[str, Any]) -> str:
        """The smaller factor first; an answer may have them in either order."""
        smaller = _factor(data["number"])
        return f"{smaller}*{data['number'] // smaller}"

    def question(self, data: Mapping[str, Any]) -> str:
        """See `Question`."""
        return f"{data['number']}="

    def verify(self, data: Mapping[str, Any], answer: str) -> bool:
        """Two whole numbers above one, with the number as their product."""
        factors = _factors(answer)
        return factors is not None and factors[0] > 1 and factors[0] * factors[1] == data["number"]

    def canonical_answer(self, data: Mapping[str, Any], answer: str) -> str:
        """See `Question`: the smaller factor first."""
        factors = _factors(answer.strip())
        return answer.strip() if factors is None else f"{factors[0]}*{factors[1]}"

    def solve(self, data: Mapping[str, Any], random: Random) -> str:
        """See `Question`."""
        number = data["number"]
        if random.random() < self.config.direct:
            return f"#{_guess(number, random)}"
        right = _factor(number)
        smaller = primes(right - 1)
        wrong = sorted(random.sample(smaller, min(len(smaller), self.config.tries)))
        steps = []
        for divisor in (*wrong, right):
            divides = (number % divisor == 0) != (random.random() < self.config.slips)
            steps.append(f"{number}/{divisor}={number // divisor}" if divides else f"{number}/{divisor} no")
            if divides:
                return f"{' '.join(steps)} #{divisor}*{number // divisor}"
        return f"{' '.join(steps)} #{_guess(number, random)}"


@cache
def primes(largest: int) -> tuple[int, ...]:
    """All primes up to `largest`, in ascending order."""
    return tuple(n for n in range(2, largest + 1) if all(n % divisor for divisor in range(2, isqrt(n) + 1)))


def _factor(number: int) -> int:
    """The smaller factor of a product of two primes."""
    return next(divisor for divisor in range(2, number) if number % divisor == 0)


def _factors(answer: str) -> tuple[int, int] | None:
    """The two numbers of an answer, the smaller first; None for anything else."""
    found = _ANSWER.fullmatch(answer)
    if found is None:
        return None
    one, other = int(found[1]), int(found[2])
    return min(one, other), max(one, other)


def _guess(number: int, random: Random) -> str:
    divisor = random.choice(primes(isqrt(number)))
    return f"{divisor}*{number // divisor}"
