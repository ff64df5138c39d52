"""Answers sampled in training: a file of JSON lines that grows with the run, and what of it a report holds.

A line is one group: the answers to one prompt in one step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from espalier.core.errors import DataError
from espalier.core.jsonlines import read_lines
from espalier.core.report.series import finite

MOST_STEPS = 60
"""Steps whose answers a report holds."""
MOST_CHARACTERS = 3_000_000
"""Characters of answers that a report holds: a page of some megabytes opens within a second."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A message."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What followed the prompt in one attempt. `facts` are shown beside it: reward, advantage, length, finish."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    turns: Sequence[Spoken]
    facts: Mapping[str, str | float | int | None] = field(default_factory=dict)
    correct: bool | None = None


@dataclass(frozen=True, slots=True)
class RolloutGroup:
    """The attempts at one prompt in one step. `key` names the problem, `title` stands in lists."""

    __pydantic_config__ = ConfigDict(extra="forbid")

    step: int
    key: str
    title: str
    prompt: Sequence[Spoken]
    answers: Sequence[Answer]


_GROUP = TypeAdapter(RolloutGroup)


def as_line(group: RolloutGroup) -> dict[str, Any]:
    """The group as plain data, for its line."""
    return asdict(group)


def read_rollouts(path: Path) -> list[RolloutGroup]:
    """The groups in a file, in the order of their steps; none where there is no file.

    Raises DataError by file and line.
    """
    groups = []
    for number, value in read_lines(path):
        try:
            groups.append(_GROUP.validate_python(value))
        except ValidationError as error:
            first = error.errors()[0]
            raise DataError(f"{path}:{number}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    return sorted(groups, key=lambda group: group.step)


def rollout_sets(path: Path) -> dict[str, Any]:
    """The `sets` of a browser of samples, one a step, and the number of steps in the file (`steps`)."""
    by_step: dict[int, list[RolloutGroup]] = defaultdict(list)
    for group in read_rollouts(path):
        by_step[group.step].append(group)
    chosen = _spread(list(by_step), MOST_STEPS)
    size = sum(_size(group) for step in chosen for group in by_step[step])
    if size > MOST_CHARACTERS:
        chosen = _spread(chosen, max(1, len(chosen) * MOST_CHARACTERS // size))
    sets = [{"label": f"step {step}", "samples": _samples(by_step[step])} for step in chosen]
    return {"sets": sets, "steps": len(by_step)}


def _spread(steps: list[int], most: int) -> list[int]:
    """At most `most` of the steps, evenly spread, the last among them."""
    if len(steps) <= most:
        return steps
    last = len(steps) - 1
    return [steps[last - round(i * last / max(most - 1, 1))] for i in reversed(range(most))]


def _size(group: RolloutGroup) -> int:
    spoken = [*group.prompt, *(turn for answer in group.answers for turn in answer.turns)]
    return sum(len(one.text) for one in spoken)


def _samples(groups: Sequence[RolloutGroup]) -> list[dict[str, Any]]:
    return [
        {
            "key": f"{group.key}/{number}",
            "title": group.title,
            "passages": [
                {"role": one.role, "pieces": [one.text], "values": {}} for one in (*group.prompt, *answer.turns)
            ],
            "correct": answer.correct,
            "facts": {k: finite(v) if isinstance(v, float) else v for k, v in answer.facts.items()},
        }
        for group in groups
        for number, answer in enumerate(group.answers)
    ]
