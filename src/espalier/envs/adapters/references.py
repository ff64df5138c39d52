"""The rule by which the reference answer is found in a table's answers: one rule for the whole table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from espalier.core.errors import DataError
from espalier.envs.adapters.columns import LETTERS, Record
from espalier.envs.boxes import last_boxes

MARK = "####"
Rule = Literal["final_number", "boxed", "whole", "letter", "label", "text", "index", "index_from_1"]

_Find = Callable[[Record], str]
"""The reference in a record, empty where it has none by the rule. Of choices, it is the letter of the right one."""


def _final_number(record: Record) -> str:
    _, mark, rest = record.text.rpartition(MARK)
    return rest.strip() if mark else ""


def _boxed(record: Record) -> str:
    return ", ".join(dict.fromkeys(last_boxes(record.text)))


def _whole(record: Record) -> str:
    return record.text.strip()


def _letter(record: Record) -> str:
    said = record.text.strip().strip("().").upper()
    return said if len(said) == 1 and said in LETTERS[: len(record.choices)] else ""


def _label(record: Record) -> str:
    return _at(record, record.labels, record.text.strip())


def _choice_text(record: Record) -> str:
    return _at(record, tuple(choice.strip() for choice in record.choices), record.text.strip())


def _index(record: Record, first: int = 0) -> str:
    said = record.text.strip()
    place = int(said) - first if said.isdecimal() else -1
    return LETTERS[place] if 0 <= place < len(record.choices) else ""


def _at(record: Record, among: Sequence[str], said: str) -> str:
    return LETTERS[among.index(said)] if said in among else ""


_OF_TEXT: Mapping[Rule, tuple[_Find, str, str]] = {
    "final_number": (_final_number, f"answers end with {MARK} and the reference", f"no {MARK} before its number"),
    "boxed": (_boxed, "the reference is in the last box of an answer", "no \\boxed{...}"),
    "whole": (_whole, "the whole answer is the reference", "no text"),
}
_OF_CHOICES: Mapping[Rule, tuple[_Find, str, str]] = {
    "letter": (_letter, "answers are letters of choices", "no letter of a choice"),
    "label": (_label, "answers are labels of choices", "no label of a choice"),
    "text": (_choice_text, "answers are the text of a choice", "no text of a choice"),
    "index": (_index, "answers are numbers of choices, from 0", "no number of a choice, from 0"),
    "index_from_1": (
        lambda record: _index(record, 1),
        "answers are numbers of choices, from 1",
        "no number of a choice, from 1",
    ),
}


def found_rule(records: Sequence[Record]) -> Rule:
    """The first rule that finds something in at least half of the answers; of choices, in the most."""
    if records and records[0].choices:
        return max(_OF_CHOICES, key=lambda rule: sum(bool(_OF_CHOICES[rule][0](record)) for record in records))
    for rule, (find, _, _) in _OF_TEXT.items():
        if 2 * sum(bool(find(record)) for record in records) >= len(records) > 0:
            return rule
    return "whole"


def explained(rule: Rule) -> str:
    """The rule in words."""
    return {**_OF_TEXT, **_OF_CHOICES}[rule][1]


def reference(record: Record, rule: Rule) -> str:
    """The reference answer of a record. Raises DataError where the rule finds none."""
    rules = _OF_CHOICES if record.choices else _OF_TEXT
    if rule not in rules:
        kind = "choices" if record.choices else "no choices"
        raise DataError(
            f"{record.where}: reference={rule} does not fit a row with {kind}; set one of {', '.join(rules)}"
        )
    find, _, missing = rules[rule]
    if not (found := find(record)):
        if record.choices:
            said = ", ".join(f"{a}) {b!r:.30}" for a, b in zip(LETTERS, record.choices, strict=False))
            raise DataError(f"{record.where}: the answer {record.text!r:.40} is {missing}; there is {said}")
        raise DataError(f"{record.where}: the answer has {missing}; set reference: whole?")
    return found
