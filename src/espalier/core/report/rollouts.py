"""Answers sampled in training: a file of JSON lines that grows with the run, and what of it a report holds.

A line is one group: the answers to one prompt in one step.
"""

from __future__ import annotations

import io
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from espalier.core.errors import DataError
from espalier.core.io.jsonlines import whole_lines
from espalier.core.io.text import lines_of, parse_json
from espalier.core.report.series import finite

MOST_STEPS = 60
"""Steps whose answers a report holds."""
MOST_CHARACTERS = 3_000_000
"""Characters of answers that a report holds: a page of some megabytes opens within a second."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A message. versions: of a sampled one, (version of the weights, number of characters) of its parts in order;
    version -1 for characters that were not sampled.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    role: str
    text: str
    versions: Sequence[tuple[int, int]] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What followed the prompt in one attempt. `facts` are shown beside it: reward, advantage, length, finish."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    turns: Sequence[Spoken]
    facts: Mapping[str, str | float | int | None] = field(default_factory=dict)
    correct: bool | None = None


@dataclass(frozen=True, slots=True)
class Branch:
    """A segment of a searched tree. parent: index of the segment before, -1 for the prompt. value: mean reward of its
    leaves. credit: the advantage of its tokens, None where none is trained. surprisal: of the token in whose place it
    was sampled, in nats; None where it begins no fork. answer: index of the answer that ends with it.
    """

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    text: str
    parent: int
    value: float
    leaves: int
    credit: float | None = None
    surprisal: float | None = None
    answer: int | None = None


@dataclass(frozen=True, slots=True)
class RolloutGroup:
    """The attempts at one prompt in one step. `key` names the problem, `title` stands in lists. version: that of the
    weights that the step trains. tree: of a search, in which parents come before children.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    step: int
    key: str
    title: str
    prompt: Sequence[Spoken]
    answers: Sequence[Answer]
    version: int | None = None
    tree: Sequence[Branch] = ()


_GROUP = TypeAdapter(RolloutGroup)
_BEGIN = re.compile(r'\{"step": (\d{1,15}),')
"""How a line begins."""


def as_line(group: RolloutGroup) -> dict[str, Any]:
    """The group as plain data, for its line. What has its default is left out."""
    line: dict[str, Any] = _GROUP.dump_python(group, exclude_defaults=True)
    return line


def read_rollouts(path: Path) -> list[RolloutGroup]:
    """The groups in a file, in the order of their steps; none where there is no file.

    Raises DataError by file and line.
    """
    groups = [_parsed(line, f"{path}:{number}") for number, line in _lines(path)]
    return sorted(groups, key=lambda group: group.step)


def rollout_sets(path: Path) -> dict[str, Any]:
    """The `sets` of a browser of samples, one a step, and the number of steps in the file (`steps`).

    Only the lines that are shown are parsed. Raises DataError as `read_rollouts` does.
    """
    by_step: dict[int, list[tuple[str, str]]] = defaultdict(list)
    for number, line in _lines(path):
        where = f"{path}:{number}"
        begin = _BEGIN.match(line)
        by_step[int(begin[1]) if begin else _parsed(line, where).step].append((line, where))
    chosen = _spread(sorted(by_step), MOST_STEPS)
    size = sum(len(line) for step in chosen for line, _ in by_step[step])
    if size > MOST_CHARACTERS:
        chosen = _spread(chosen, max(1, len(chosen) * MOST_CHARACTERS // size))
    return {
        "sets": [_set(step, [_parsed(*found) for found in by_step[step]]) for step in chosen],
        "steps": len(by_step),
    }


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbers and texts of the whole lines."""
    content = path.read_bytes() if path.exists() else b""
    for number, line in lines_of(io.BytesIO(whole_lines(content)), path):
        if line.strip():
            yield number, line


def _parsed(line: str, where: str) -> RolloutGroup:
    try:
        return _GROUP.validate_python(parse_json(line, where))
    except ValidationError as error:
        first = error.errors()[0]
        raise DataError(f"{where}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _spread(steps: list[int], most: int) -> list[int]:
    """At most `most` of the steps, evenly spread, the last among them."""
    if len(steps) <= most:
        return steps
    last = len(steps) - 1
    return [steps[last - round(i * last / max(most - 1, 1))] for i in reversed(range(most))]


def _set(step: int, groups: Sequence[RolloutGroup]) -> dict[str, Any]:
    """What is shown of a step."""
    found: dict[str, Any] = {"label": f"step {step}", "samples": _samples(groups)}
    if any(group.tree for group in groups):
        found["trees"] = [[_branch(branch) for branch in group.tree] for group in groups]
    return found


def _branch(branch: Branch) -> dict[str, Any]:
    shown = {"text": branch.text, "parent": branch.parent, "value": finite(branch.value), "leaves": branch.leaves}
    numbers = {"credit": branch.credit, "surprisal": branch.surprisal}
    return shown | {name: None if number is None else finite(number) for name, number in numbers.items()}


def _leaf(group: RolloutGroup, place: int, number: int) -> dict[str, int]:
    """Where answer `number` is in the tree of the group, the `place`-th of its step."""
    ends = {branch.answer: index for index, branch in enumerate(group.tree) if branch.answer is not None}
    return {"tree": place, "leaf": ends[number]} if number in ends else {}


def _samples(groups: Sequence[RolloutGroup]) -> list[dict[str, Any]]:
    """Of a step. Texts are divided by version where the step has several."""
    spoken = [one for group in groups for answer in group.answers for one in answer.turns]
    known = all(group.version is not None for group in groups)
    several = known and len({version for one in spoken for version, _ in one.versions if version >= 0}) > 1
    return [
        {
            "key": f"{group.key}/{number}",
            "title": group.title,
            **({"version": group.version} if several else {}),
            **_leaf(group, place, number),
            "passages": [_passage(one, several) for one in (*group.prompt, *answer.turns)],
            "correct": answer.correct,
            "facts": {k: finite(v) if isinstance(v, float) else v for k, v in answer.facts.items()},
        }
        for place, group in enumerate(groups)
        for number, answer in enumerate(group.answers)
    ]


def _passage(one: Spoken, by_version: bool) -> dict[str, Any]:
    if not (by_version and one.versions):
        return {"role": one.role, "pieces": [one.text], "values": {}}
    ends = list(accumulate(length for _, length in one.versions))
    pieces = [one.text[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    versions = [version if version >= 0 else None for version, _ in one.versions]
    return {"role": one.role, "pieces": pieces, "values": {"version": versions}}
