"""Records of a JSON-lines file: questions with answers, and the rule that finds the reference in an answer."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from espalier.core.errors import DataError
from espalier.core.text import read_jsonl
from espalier.envs.boxes import last_boxes

MARK = "####"
Rule = Literal["final_number", "boxed", "whole"]


@dataclass(frozen=True, slots=True)
class Record:
    """One line: `where` is `file:line`, `answer` as the file has it."""

    where: str
    question: str
    answer: str


def read_records(path: Path, question: str, answer: str) -> list[Record]:
    """The records of a file, by the names of their fields. Raises DataError, naming file, line and field."""
    return [_record(value, f"{path}:{line}", question, answer) for line, value in read_jsonl(path)]


def _record(value: Any, where: str, question: str, answer: str) -> Record:
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected a JSON object, found {type(value).__name__}")
    for name in (question, answer):
        if name not in value:
            fields = ", ".join(map(str, value)) or "no field"
            raise DataError(f"{where}: the field {name!r} must be text; the line has {fields}")
    asked = value[question]
    if not isinstance(asked, str):
        raise DataError(f"{where}: the field {question!r} must be text, not {_kind(asked)}")
    if not asked.strip():
        raise DataError(f"{where}: the field {question!r} is blank: there is nothing to ask")
    return Record(where, asked, _answer(value[answer], answer, where))


def _answer(value: Any, name: str, where: str) -> str:
    """Text as it is; numbers and truth values as JSON writes them."""
    if not isinstance(value, str | int | float):
        raise DataError(f"{where}: the field {name!r} must be text or a number, not {_kind(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"{where}: the field {name!r} is {value}, which is not finite")
    text = value if isinstance(value, str) else json.dumps(value)
    if not text.strip():
        raise DataError(f"{where}: the field {name!r} is blank: there is no answer to compare with")
    return text


def _kind(value: Any) -> str:
    kinds = {type(None): "null", dict: "an object", list: "a list", bool: "a truth value"}
    return kinds.get(type(value), "a number")


def found_rule(records: Sequence[Record]) -> Rule:
    """The first rule that finds something in at least half of the answers; `whole` where none does."""
    for rule, (find, _) in _RULES.items():
        if 2 * sum(bool(find(record.answer)) for record in records) >= len(records) > 0:
            return rule
    return "whole"


def reference(record: Record, rule: Rule) -> str:
    """The reference answer of a record. Raises DataError where the rule finds none."""
    if rule == "whole":
        return record.answer.strip()
    find, missing = _RULES[rule]
    if not (found := find(record.answer)):
        raise DataError(f"{record.where}: the answer has {missing}; set reference: whole?")
    return found


def _final_number(answer: str) -> str:
    _, mark, rest = answer.rpartition(MARK)
    return rest.strip() if mark else ""


def _boxed(answer: str) -> str:
    return ", ".join(dict.fromkeys(last_boxes(answer)))


_RULES: dict[Rule, tuple[Callable[[str], str], str]] = {
    "final_number": (_final_number, f"no {MARK} before its number"),
    "boxed": (_boxed, "no \\boxed{...}"),
}
