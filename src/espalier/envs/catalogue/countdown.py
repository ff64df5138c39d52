"""Countdown: reach a target with all of the given numbers, each used once.

    3 25 7>46=   ->   25+3+7=35 25+3*7=46 #25+3*7

Worked demonstrations try a few expressions before the right one; direct ones guess.
"""

from __future__ import annotations

from collections.abc import Mapping
from random import Random
from typing import Any, Literal

from pydantic import Field

from espalier.envs.arithmetic import evaluate, numbers
from espalier.envs.procedural import Question, TaskConfig


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

    def draw(self, random: Random) -> dict[str, Any]:
        """See `Procedural`."""
        while True:
            given = [random.randint(1, self.config.largest) for _ in range(self.config.count)]
            answer = self._expression(given, random)
            try:
                target = evaluate(answer)
            except ValueError:  # division by zero
                continue
            if target.denominator == 1 and 0 < target <= 100:
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
