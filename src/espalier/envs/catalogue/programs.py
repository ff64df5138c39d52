"""Programs: letters that change a number one after the other. Which of them give what is asked for?

    3>14=       ->   3t9d18i19 no 3i4m3d6 no 3d6i7d14 #did
    3>8 5>12=   ->   3i4d8 5i6d12 #id

`d` doubles, `t` triples, `s` squares, `i` adds one, `m` subtracts one; no number may leave 0 to 999. A worked
demonstration runs programs until one gives what is asked for, a direct one names any program. Answers are run by the
interpreter in `letters`, never as code.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from random import Random
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from espalier.core.errors import ConfigError
from espalier.envs.catalogue.letters import LETTERS, Numbers, apply, levels, reduced, results, run, solutions
from espalier.envs.catalogue.slips import slipped
from espalier.envs.procedural import TRIES, Question, TaskConfig

_AT_LEAST = 10
"""Instances that `TRIES` random programs must give: fewer, and draws would take long."""


class ProgramsConfig(TaskConfig):
    """Find a program that turns the inputs into the outputs."""

    env: Literal["programs"] = "programs"
    """The environment."""
    length: int = Field(default=3, ge=1, le=6)
    """Letters of the program that an instance is made of: the difficulty. No shorter program is right."""
    longest: int = Field(default=8, ge=1, le=10)
    """Letters that an answer may have."""
    examples: int = Field(default=1, ge=1, le=3)
    """Inputs, each with its output: a right program is right for all of them."""
    inputs: int = Field(default=20, ge=3, le=99)
    """Largest input."""
    solutions: int = Field(default=10, ge=1, le=1000)
    """Different right programs, in canonical form and of up to `longest` letters, that an instance has at least."""
    tries: int = Field(default=3, ge=0, le=10)
    """Wrong programs, at most, that a worked demonstration runs."""
    direct: float = Field(default=0.5, ge=0.0, le=1.0)
    """Share of demonstrations that name any program of `length` letters."""
    slips: float = Field(default=0.05, ge=0.0, le=1.0)
    """Probability that a letter of a demonstration is worked out wrongly."""

    @model_validator(mode="after")
    def _answers_have_room(self) -> Self:
        if self.longest < self.length:
            raise ValueError(f"longest={self.longest} has no room for programs of length={self.length}")
        return self


class Programs(Question[ProgramsConfig]):
    """Instances `{"inputs": [3], "outputs": [14], "answer": "did"}`.

    Raises ConfigError where hardly any instance has as many solutions as it must have.
    """

    env_name = "programs"

    def __init__(self, config: ProgramsConfig, seed: int) -> None:
        super().__init__(config, seed)
        random, found = Random(0), 0
        for _ in range(TRIES):
            found += self._drawn(random) is not None
            if found == _AT_LEAST:
                return
        raise ConfigError(
            f"{self.name}: of {TRIES} programs of length={config.length}, {found} have solutions={config.solutions} or "
            f"more of up to longest={config.longest} letters for examples={config.examples}: lower solutions or raise "
            "longest"
        )

    @property
    def guess_rate(self) -> float:
        """See `Procedural`. The form: any row of 1 to `longest` letters. 0.0 for more than one example, for which it is
        not worked out.
        """
        config = self.config
        if config.examples > 1:
            return 0.0
        return _guess_rate(config.length, config.longest, config.inputs, config.solutions)

    def draw(self, random: Random) -> dict[str, Any]:
        """See `Procedural`."""
        while True:
            if (data := self._drawn(random)) is not None:
                return data

    def canonical(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """The examples in any order."""
        return {"examples": sorted(zip(data["inputs"], data["outputs"], strict=True))}

    def question(self, data: Mapping[str, Any]) -> str:
        """See `Question`."""
        return f"{' '.join(f'{a}>{b}' for a, b in zip(data['inputs'], data['outputs'], strict=True))}="

    def answer(self, data: Mapping[str, Any]) -> str:
        """The program that the instance was made of: one right answer among many."""
        return str(data["answer"])

    def verify(self, data: Mapping[str, Any], answer: str) -> bool:
        """A program of at most `longest` letters that turns all inputs into their outputs."""
        return self._ends(data, answer) == tuple(data["outputs"])

    def canonical_answer(self, data: Mapping[str, Any], answer: str) -> str:
        """See `Question`: the canonical form that `letters` describes."""
        text = answer.strip()
        return text if self._ends(data, text) is None else reduced(text, tuple(data["inputs"]))

    def solve(self, data: Mapping[str, Any], random: Random) -> str:
        """See `Question`."""
        if random.random() < self.config.direct:
            return f"#{self._any(random)}"
        steps = []
        wrong = [self._any(random) for _ in range(random.randint(0, self.config.tries))]
        for program in (*wrong, data["answer"]):
            work, right = self._worked(program, data, random)
            steps.append(work)
            if right:
                return f"{' '.join(steps)} #{program}"
            steps.append("no")
        return f"{' '.join(steps)} #{self._any(random)}"

    def _worked(self, program: str, data: Mapping[str, Any], random: Random) -> tuple[str, bool]:
        """A program run example by example, with slips, until one is wrong; and whether all seemed right."""
        rows: list[str] = []
        for number, output in zip(data["inputs"], data["outputs"], strict=True):
            row = str(number)
            for letter in program:
                row += letter
                if (after := apply(letter, (number,))) is None:
                    return " ".join([*rows, row]), False
                number = slipped(after[0], self.config.slips, random)
                row += str(number)
            rows.append(row)
            if number != output:
                return " ".join(rows), False
        return " ".join(rows), True

    def _ends(self, data: Mapping[str, Any], program: str) -> Numbers | None:
        """Where the inputs end; None for what is no program, or too long."""
        return run(program, tuple(data["inputs"])) if len(program) <= self.config.longest else None

    def _any(self, random: Random) -> str:
        return "".join(random.choices(LETTERS, k=self.config.length))

    def _drawn(self, random: Random) -> dict[str, Any] | None:
        """An instance; None where the program drawn is not canonical, not the shortest, or one of too few."""
        inputs = tuple(random.sample(range(1, self.config.inputs + 1), self.config.examples))
        program = self._any(random)
        outputs = run(program, inputs)
        if outputs in (None, inputs) or reduced(program, inputs) != program:
            return None
        if not _accepted(solutions(inputs, outputs, self.config.longest), len(program), self.config.solutions):
            return None
        return {"inputs": list(inputs), "outputs": list(outputs), "answer": program}


def _accepted(counts: list[int], length: int, least: int) -> bool:
    """Whether the counts of solutions, by their length, are those of an instance."""
    return not any(counts[: length - 1]) and sum(counts) >= least


@lru_cache(maxsize=16)
def _guess_rate(length: int, longest: int, inputs: int, least: int) -> float:
    """The share of right ones among all programs, expected over the instances: each as often as programs lead to it."""
    programs = {number: results(number, longest) for number in range(1, inputs + 1)}
    ways: dict[Numbers, dict[int, int]] = {}
    """Outputs, inputs, and how many canonical programs lead from one to the other."""
    for number in programs:
        for outputs, ends in levels((number,), length)[length].items():
            ways.setdefault(outputs, {})[number] = sum(ends.values())
    right = drawn = 0
    for outputs, origins in ways.items():
        for number, count in origins.items():
            if outputs != (number,) and _accepted(solutions((number,), outputs, longest), length, least):
                drawn += count
                right += count * programs[number][outputs[0]]
    return right / drawn / sum(len(LETTERS) ** size for size in range(1, longest + 1))
