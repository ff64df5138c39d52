"""Countdown: reach a target with all of the given numbers, each used once.

    3 25 7>46=   ->   25+3+7=35 25+3*7=46 #25+3*7

Worked demonstrations try a few expressions before the right one; direct ones guess.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import combinations_with_replacement, permutations, product
from math import factorial, prod
from random import Random
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from espalier.envs.arithmetic import canonical, evaluate, numbers
from espalier.envs.procedural import Question, TaskConfig

TARGETS = 100
"""Largest target."""


class CountdownConfig(TaskConfig):
    """Combine `count` numbers up to `largest`."""

    env: Literal["countdown"] = "countdown"
    """The environment."""
    count: int = Field(default=3, ge=2, le=6)
    """Numbers given: the difficulty."""
    largest: int = Field(default=20, ge=4, le=100)
    """Largest number given."""
    operators: Literal["+-", "+-*", "+-*/"] = "+-*"
    """Operations that targets are made with; an answer may use any of the four."""
    tries: int = Field(default=3, ge=0, le=10)
    """Wrong expressions, at most, that a worked demonstration goes through."""
    direct: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of demonstrations that guess one expression."""


class Countdown(Question[CountdownConfig]):
    """Instances `{"numbers": [3, 25, 7], "target": 46, "answer": "25+3*7"}`: one of perhaps many answers."""

    env_name = "countdown"

    @property
    def guess_rate(self) -> float:
        """See `Procedural`. The form: the numbers in any order, with any of `operators` between and no parentheses.
        0.0 for more than three numbers, for which it is not worked out.
        """
        if self.config.count > 3:
            return 0.0
        return _guess_rate(self.config.count, self.config.largest, self.config.operators)

    def draw(self, random: Random) -> dict[str, Any]:
        """See `Procedural`."""
        while True:
            given = [random.randint(1, self.config.largest) for _ in range(self.config.count)]
            answer = self._expression(given, random)
            try:
                target = evaluate(answer)
            except ValueError:  # division by zero
                continue
            if target.denominator == 1 and 0 < target <= TARGETS:
                return {"numbers": given, "target": int(target), "answer": answer}

    def canonical(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """The numbers in any order, and the target."""
        return {"numbers": sorted(data["numbers"]), "target": data["target"]}

    def question(self, data: Mapping[str, Any]) -> str:
        """See `Question`."""
        return f"{' '.join(map(str, data['numbers']))}>{data['target']}="

    def answer(self, data: Mapping[str, Any]) -> str:
        """The expression that the target was made with: one right answer among many."""
        return str(data["answer"])

    def verify(self, data: Mapping[str, Any], answer: str) -> bool:
        """All numbers, each once, with the target as the exact value."""
        try:
            return sorted(numbers(answer)) == sorted(data["numbers"]) and evaluate(answer) == data["target"]
        except ValueError:
            return False

    def canonical_answer(self, data: Mapping[str, Any], answer: str) -> str:
        """See `Question`: sums and products without regard to order and grouping, as `arithmetic.canonical` says."""
        try:
            return canonical(answer)
        except ValueError:
            return answer.strip()

    def solve(self, data: Mapping[str, Any], random: Random) -> str:
        """See `Question`."""
        if random.random() < self.config.direct:
            return f"#{self._expression(data['numbers'], random)}"
        steps = []
        for _ in range(random.randint(0, self.config.tries)):
            attempt = self._expression(data["numbers"], random)
            value = evaluate(attempt) if "/" not in attempt else None
            if value is not None and value != data["target"]:
                steps.append(f"{attempt}={value}")
        steps.append(f"{data['answer']}={data['target']}")
        return f"{' '.join(steps)} #{data['answer']}"

    def _expression(self, given: list[int], random: Random) -> str:
        first, *rest = random.sample(given, len(given))
        return f"{first}{''.join(random.choice(self.config.operators) + str(number) for number in rest)}"


@lru_cache(maxsize=16)
def _guess_rate(count: int, largest: int, operators: str) -> float:
    """Of two expressions of the same numbers, the first with a target that is allowed: how often both have one value.

    All expressions of all numbers are compared, multiplied by the product of the numbers, which makes them whole.
    """
    given = np.array(list(combinations_with_replacement(range(1, largest + 1), count))).T
    orders = np.array([factorial(count) / prod(factorial(row.count(n)) for n in {*row}) for row in given.T.tolist()])
    scale = given.prod(axis=0)
    values = np.array(
        [
            _scaled([given[place] for place in order], signs, scale)
            for order in permutations(range(count))
            for signs in product(operators, repeat=count - 1)
        ]
    )
    drawn = (values % scale == 0) & (values > 0) & (values <= TARGETS * scale)
    equal = np.array([(values == row).sum(axis=0) for row in values])
    return float((orders * drawn * equal).sum() / (orders * drawn).sum() / len(values))


def _scaled(
    row: Sequence[npt.NDArray[np.int64]], signs: Sequence[str], scale: npt.NDArray[np.int64]
) -> npt.NDArray[np.int64]:
    """`scale` times the value of the numbers with the signs between them, exactly; products and quotients first."""
    total, term = np.zeros_like(scale), scale * row[0]
    for sign, number in zip(signs, row[1:], strict=True):
        match sign:
            case "*":
                term = term * number
            case "/":
                term = term // number
            case _:
                total, term = total + term, scale * number if sign == "+" else -scale * number
    return total + term
