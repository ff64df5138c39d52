"""Quantities: questions of physics and chemistry with options, or without.

    mass 3 acceleration 4 force? A7 B12 C120 D1    ->   3*4=12 #B
    acceleration 4 distance 5 mass 3 energy?       ->   3*4=12 12*5=60 #60

Formulas are chained: each uses the result of the one before. The wrong options are what typical mistakes give: another
operation, another number, a step left out, a factor of ten. Without options a guess is seldom right.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from random import Random
from string import ascii_uppercase
from typing import Any, Literal, NamedTuple

from pydantic import Field

from espalier.envs.catalogue.slips import slipped
from espalier.envs.procedural import Question, TaskConfig

PRODUCTS = (
    ("distance", "speed", "time"),
    ("speed", "acceleration", "time"),
    ("force", "mass", "acceleration"),
    ("momentum", "mass", "speed"),
    ("mass", "density", "volume"),
    ("force", "pressure", "area"),
    ("energy", "force", "distance"),
    ("energy", "power", "time"),
    ("power", "voltage", "current"),
    ("voltage", "current", "resistance"),
    ("charge", "current", "time"),
    ("amount", "concentration", "volume"),
    ("energy", "pressure", "volume"),
    ("energy", "amount", "temperature"),
)
"""Quantities that are the product of two others, in units in which the gas constant is one. Bodies start at rest."""
_LARGEST = 9999
"""Largest number in a question, its solution and its options, but for near misses."""
_LEAST = 5
"""Smallest quotient: were there many of two and three, these would be good guesses."""


class QuantitiesConfig(TaskConfig):
    """Find a quantity from others."""

    env: Literal["quantities"] = "quantities"
    """The environment."""
    steps: int = Field(default=2, ge=1, le=4)
    """Formulas chained: the difficulty."""
    form: Literal["choice", "fill"] = "choice"
    """Whether the answer is the letter of an option or the number itself. Task for task, the questions are the same."""
    options: int = Field(default=4, ge=2, le=8)
    """Options of a `choice`."""
    largest: int = Field(default=12, ge=4, le=30)
    """Largest number that is multiplied or divided by, besides results of earlier steps."""
    direct: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of demonstrations that name any of the options without work."""
    slips: float = Field(default=0.05, ge=0.0, le=1.0)
    """Probability that a worked step of a demonstration is wrong."""


class Formula(NamedTuple):
    """`result = left sign right`, with names of quantities; `sign` is `*` or `/`."""

    result: str
    left: str
    sign: str
    right: str


FORMULAS = tuple(
    formula
    for product, one, other in PRODUCTS
    for formula in (
        Formula(product, one, "*", other),
        Formula(one, product, "/", other),
        Formula(other, product, "/", one),
    )
)


class Quantities(Question[QuantitiesConfig]):
    """Instances `{"given": [["mass", 3], ...], "asked": "force", "formulas": [[result, left, sign, right], ...],
    "value": 12, "options": [7, 12, 120, 1]}`. All numbers are whole, and no other formula contradicts them.
    """

    env_name = "quantities"

    @property
    def guess_rate(self) -> float:
        """See `Procedural`. The form: the letter of an option. 0.0 without options."""
        return 1 / self.config.options if self.config.form == "choice" else 0.0

    def draw(self, random: Random) -> dict[str, Any]:
        """See `Procedural`."""
        while True:
            formulas, values = self._chain(random)
            names = {name for formula in formulas for name in (formula.left, formula.right)}
            given = {name: values[name] for name in sorted(names - {formula.result for formula in formulas})}
            if len(formulas) == self.config.steps and max(values.values()) <= _LARGEST and consistent(given):
                break
        value = values[formulas[-1].result]
        options = [value, *_wrong(value, [*_mistakes(formulas, values, given)], self.config.options - 1, random)]
        random.shuffle(options)
        shown = random.sample(list(given.items()), len(given))
        return {
            "given": [list(pair) for pair in shown],
            "asked": formulas[-1].result,
            "formulas": [list(formula) for formula in formulas],
            "value": value,
            "options": options,
        }

    def canonical(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """What is given in any order, and what is asked for; whatever the options."""
        return {"given": sorted(data["given"]), "asked": data["asked"]}

    def question(self, data: Mapping[str, Any]) -> str:
        """See `Question`."""
        asked = f"{' '.join(f'{name} {number}' for name, number in data['given'])} {data['asked']}?"
        if self.config.form == "fill":
            return asked
        options = (f"{letter}{option}" for letter, option in zip(ascii_uppercase, data["options"], strict=False))
        return f"{asked} {' '.join(options)}"

    def answer(self, data: Mapping[str, Any]) -> str:
        """The letter or the number."""
        return self._named(data, data["value"])

    def solve(self, data: Mapping[str, Any], random: Random) -> str:
        """See `Question`. A result that is no option leads to the nearest one."""
        if random.random() < self.config.direct:
            return f"#{self._named(data, random.choice(data['options']))}"
        values, steps = dict(data["given"]), []
        for result, left, sign, right in data["formulas"]:
            values[result] = slipped(worked(values[left], sign, values[right]) or 0, self.config.slips, random)
            steps.append(f"{values[left]}{sign}{values[right]}={values[result]}")
        return f"{' '.join(steps)} #{self._named(data, values[data['asked']])}"

    def _named(self, data: Mapping[str, Any], number: int) -> str:
        if self.config.form == "fill":
            return str(number)
        nearest = min(data["options"], key=lambda option: abs(option - number))
        return ascii_uppercase[data["options"].index(nearest)]

    def _chain(self, random: Random) -> tuple[list[Formula], dict[str, int]]:
        """Formulas, each of which uses the result of the one before, and the values of all quantities in them.

        There are fewer than asked for where the chain cannot go on.
        """
        formulas: list[Formula] = []
        values: dict[str, int] = {}
        while len(formulas) < self.config.steps:
            last = formulas[-1].result if formulas else None
            next_ones = [f for f in FORMULAS if last in (None, f.left, f.right) and {*f} & {*values} <= {last}]
            if not next_ones:
                break
            formula = random.choice(next_ones)
            if not self._assign(formula, values, random):
                break
            formulas.append(formula)
        return formulas, values

    def _assign(self, formula: Formula, values: dict[str, int], random: Random) -> bool:
        """Give values to the new quantities of a formula; False where it can have no whole quotient that is allowed."""
        result, left, sign, right = formula
        numbers, quotients = range(2, self.config.largest + 1), range(_LEAST, 4 * self.config.largest + 1)
        if sign == "/" and left in values:
            whole = [number for number in numbers if values[left] % number == 0 and values[left] // number >= _LEAST]
            if not whole:
                return False
            values[right] = random.choice(whole)
        elif sign == "/":
            values.setdefault(right, random.choice(numbers))
            values[left] = values[right] * random.choice(quotients)
        else:
            values.setdefault(left, random.choice(numbers))
            values.setdefault(right, random.choice(numbers))
        values[result] = worked(values[left], sign, values[right]) or 0
        return True


def worked(left: int, sign: str, right: int) -> int | None:
    """`left * right` or `left / right`, rounded down; None for a division by zero."""
    if sign == "*":
        return left * right
    return left // right if right else None


def consistent(given: Mapping[str, int]) -> bool:
    """Whether every quantity that follows from the given ones by any formulas has one value, whichever they are."""
    values = {name: Fraction(number) for name, number in given.items()}
    known = 0
    while known < len(values):
        known = len(values)
        for result, left, sign, right in FORMULAS:
            if left in values and right in values:
                value = values[left] * values[right] if sign == "*" else values[left] / values[right]
                if values.setdefault(result, value) != value:
                    return False
    return True


def _mistakes(formulas: Sequence[Formula], values: Mapping[str, int], given: Mapping[str, int]) -> Iterator[int]:
    """What typical mistakes give in place of the result of the last formula."""
    _, left, sign, right = formulas[-1]
    one, other = values[left], values[right]
    yield from (one + other, abs(one - other))  # another operation
    yield from _whole(one, "/" if sign == "*" else "*", other)
    for number in given.values():  # another number
        yield from _whole(one, sign, number)
        yield from _whole(other, sign, number)
    yield from (values[formula.result] for formula in formulas[:-1])  # a step left out


def _wrong(value: int, mistakes: list[int], count: int, random: Random) -> list[int]:
    """Wrong options: mistakes, one of them or of the value off by a factor of ten, and near misses where they lack.

    The value has any place among the options in order of size equally often, as far as there are numbers below it.
    """
    base = random.choice([value, *mistakes])
    found = {*mistakes, base * 10, *_whole(base, "/", 10)}
    pool = [number for number in sorted(found) if 0 < number <= _LARGEST and number != value]
    below = min(random.randint(0, count), value - 1)
    wrong: list[int] = []
    for size, numbers in (
        (below, [number for number in pool if number < value]),
        (count - below, [number for number in pool if number > value]),
    ):
        wrong += random.sample(numbers, min(size, len(numbers)))
    while sum(number < value for number in wrong) < below:
        wrong += {value - random.randint(1, min(9, value - 1))} - {*wrong}
    while len(wrong) < count:
        wrong += {value + random.randint(1, 9)} - {*wrong}
    return wrong


def _whole(left: int, sign: str, right: int) -> Iterator[int]:
    if sign == "*" or left % right == 0:
        yield worked(left, sign, right) or 0
