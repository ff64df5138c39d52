"""Which column of a table plays which part, and what a row says by it."""

from __future__ import annotations

import json
import math
import re
import string
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from espalier.core.config import Config
from espalier.core.errors import ConfigError, DataError, nearest
from espalier.core.messages import Message, Role
from espalier.envs.adapters.rows import Row

_GUESSES: Mapping[str, tuple[str, ...]] = {
    "messages": ("messages",),
    "question": ("question", "problem", "prompt", "instruction", "query", "input", "text", "q"),
    "answer": (
        "answer", "answers", "target", "final_answer", "answerkey", "answer_key", "correct_answer", "ground_truth",
        "label", "output", "response", "completion", "solution", "gold", "expected", "a", "correct",
    ),
    "solution": ("solution", "rationale", "reasoning", "explanation"),
    "choices": ("choices", "options"),
    "system": ("system", "system_prompt"),
}  # fmt: skip
"""Names of columns by the part they most often play, the likeliest first."""
LETTERS = string.ascii_uppercase
PLACE = re.compile(r"\{([^{}\"\n]+)\}")
"""A column's name in a prompt."""


class ColumnsConfig(Config):
    """Names of the columns. What is not given is guessed, and the run says the guess."""

    question: str | None = None
    """The question, as text; or chat messages, as `prompt` in many data sets."""
    answer: str | None = None
    """The answer: text, a number, or the right one of the choices."""
    solution: str | None = None
    """A worked solution that demonstrations show; the answer itself unless given."""
    choices: str | tuple[str, ...] | None = None
    """A list of choices, or the columns that hold one each, such as `[A, B, C, D]`."""
    messages: str | None = None
    """Chat messages, `{role, content}` each, instead of a question; a last one by the assistant is the answer."""
    system: str | None = None
    """A system message for each row."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a row says. `answer` is as the table has it, None without one; `messages` are plain `{role, content}`."""

    where: str
    question: str
    answer: str | int | None = None
    solution: str = ""
    choices: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    messages: tuple[Mapping[str, str], ...] = ()
    system: str = ""
    row: Mapping[str, Any] | None = None
    asked: Mapping[str, str] | None = None
    """By column, what the prompt asks with, where no column is the question."""

    @property
    def text(self) -> str:
        """The answer as text."""
        return "" if self.answer is None else str(self.answer)

    def opening(self) -> list[Message]:
        """The chat messages of the row."""
        return [Message(Role(message["role"]), message["content"]) for message in self.messages]


def found_columns(rows: Sequence[Row], given: ColumnsConfig, where: str, prompt: str = "") -> ColumnsConfig:
    """`given`, completed by guesses. Where no column looks like a question, the prompt may ask with other columns.

    Raises DataError where nothing asks.
    """
    names: dict[str, str] = {}
    for row in rows:
        for name in row.values:
            names.setdefault(name.lower().replace(" ", "_"), name)
    used = {value for value in given.model_dump().values() if isinstance(value, str)}
    guess: dict[str, Any] = {}
    for part, likely in _GUESSES.items():
        free = [names[name] for name in likely if name in names and names[name] not in used]
        asked = given.messages or given.question or guess.get("messages")
        if getattr(given, part) is None and free and not (part in ("question", "messages") and asked):
            guess[part] = free[0]
            used.add(free[0])
    if not (given.choices or guess.get("choices")):
        run = [names.get(letter.lower()) for letter in LETTERS]
        lettered = run[: run.index(None)] if None in run else run
        if len(lettered) > 2 or (len(lettered) == 2 and guess.get("answer") != lettered[0]):
            guess["choices"] = tuple(lettered)
            if guess.get("answer") in lettered:
                del guess["answer"]
    found = given.model_copy(update=guess)
    if given.question is None and found.messages is None and asking(prompt, found, names.values()):
        return found.model_copy(update={"question": None})
    if found.messages is None and found.question is None:
        there = ", ".join(names.values()) or "no column"
        for name in set(PLACE.findall(prompt)) - set(names.values()):
            if (close := nearest(name, names.values())).startswith("; did"):
                raise ConfigError(f"prompt: {{{name}}} is no column of {where}{close}")
        raise DataError(
            f"{where}: no column looks like a question: set columns: {{question: NAME}}, or ask with columns in "
            f"`prompt`; it has {there}"
        )
    return found


def asking(prompt: str, columns: ColumnsConfig, names: Collection[str]) -> tuple[str, ...]:
    """The columns that a prompt asks with, if it does not show the question: names of the table, or `choices`."""
    shown = dict.fromkeys(PLACE.findall(prompt))
    if "question" in shown or columns.question in shown:
        return ()
    known = {*names, *(["choices"] if columns.choices else [])} - secret(columns)
    return tuple(name for name in shown if name in known)


def secret(columns: ColumnsConfig) -> set[str | None]:
    """Columns that a prompt does not show."""
    return {columns.answer, columns.solution}


def filled(prompt: str, values: Mapping[str, Any], columns: ColumnsConfig, **more: str) -> str:
    """A prompt with the columns of a row, and `more`, in place of their names in braces."""
    shown = {name: _text(value) for name, value in values.items() if name not in secret(columns)} | more
    return PLACE.sub(lambda found: shown.get(found[1], found[0]), prompt)


def read_record(row: Row, columns: ColumnsConfig, prompt: str = "", asked_by: Sequence[str] = ()) -> Record:
    """Where no column is the question, it is the prompt; `asked_by` are the columns that it asks with, see `asking`.

    Raises DataError, naming file, line and field, where a value cannot be used.
    """
    values, where = row.values, row.where
    messages: tuple[Mapping[str, str], ...] = ()
    said = ""
    asked: Mapping[str, str] | None = None
    first = values.get(columns.messages or columns.question or "")
    if columns.messages or (isinstance(first, list) and first and isinstance(first[0], dict)):
        name = columns.messages or columns.question or ""
        messages = _messages(_required(values, name, where), name, where)
        if messages[-1]["role"] == "assistant":
            said, messages = messages[-1]["content"], messages[:-1]
        question = next((m["content"] for m in reversed(messages) if m["role"] == "user"), "")
        if not question.strip():
            raise DataError(f"{where}: the field {name!r} has no message of the user: there is nothing to ask")
    elif columns.question:
        question = _question(values, columns.question, where)
    else:
        asked = {name: _shown(values, name, where) for name in asked_by if name != "choices"}
        question = filled(prompt, values, columns, choices="").strip()
    answer = _answer(values, columns.answer, where) if columns.answer else said or None
    solution = (_text(values.get(columns.solution)) if columns.solution else "") or (said if columns.answer else "")
    labels, choices = _choices(values, columns.choices, where)
    system = _text(values.get(columns.system)) if columns.system else ""
    return Record(where, question, answer, solution, choices, labels, messages, system, values, asked)


def _required(values: Mapping[str, Any], name: str, where: str, kind: str = "text") -> Any:
    if name not in values:
        fields = ", ".join(map(str, values)) or "no field"
        close = nearest(name, values) if values else ""
        meant = close if close.startswith("; did") else ""
        raise DataError(f"{where}: the field {name!r} must be {kind}; the line has {fields}{meant}")
    return values[name]


def _shown(values: Mapping[str, Any], name: str, where: str) -> str:
    """The text of a column that the prompt asks with."""
    text = _text(_required(values, name, where))
    if not text.strip():
        raise DataError(f"{where}: the field {name!r} is blank, and the prompt asks with it")
    return text


def _question(values: Mapping[str, Any], name: str, where: str) -> str:
    asked = _required(values, name, where)
    if not isinstance(asked, str):
        raise DataError(f"{where}: the field {name!r} must be text, not {_kind(asked)}")
    if not asked.strip():
        raise DataError(f"{where}: the field {name!r} is blank: there is nothing to ask")
    return asked


def _answer(values: Mapping[str, Any], name: str, where: str) -> str | int:
    """Text as it is, whole numbers as numbers, other numbers and truth values as JSON writes them."""
    value = _required(values, name, where)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):  # a completion in chat messages
        value = value[0].get("content")
    if not isinstance(value, str | int | float):
        raise DataError(f"{where}: the field {name!r} must be text or a number, not {_kind(value)}")
    if isinstance(value, float) and not math.isfinite(value):
        raise DataError(f"{where}: the field {name!r} is {value}, which is not finite")
    if isinstance(value, str):
        if not value.strip():
            raise DataError(f"{where}: the field {name!r} is blank: there is no answer to compare with")
        return value
    return value if isinstance(value, int) and not isinstance(value, bool) else json.dumps(value)


def _choices(
    values: Mapping[str, Any], name: str | tuple[str, ...] | None, where: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Labels and texts; labels are those of the row (ARC's `{label, text}`), else the columns' names or letters."""
    if name is None:
        return (), ()
    if isinstance(name, tuple):
        found: Any = [_required(values, column, where) for column in name]
        labels: Iterable[Any] = name
        name = ", ".join(name)
    else:
        found, labels = _parsed(_required(values, name, where, "a list of choices")), LETTERS
    if isinstance(found, dict):
        if isinstance(found.get("text"), list):
            labels, found = found.get("label", LETTERS), found["text"]
        else:
            labels, found = found.keys(), list(found.values())
    if not isinstance(found, list) or len(found) < 2 or not all(isinstance(c, str | int | float) for c in found):
        raise DataError(f"{where}: the field {name!r} must be a list of two or more choices, not {found!r:.60}")
    if len(found) > len(LETTERS):
        raise DataError(f"{where}: the field {name!r} has {len(found)} choices; there are letters for {len(LETTERS)}")
    texts = tuple(_text(choice) for choice in found)
    return tuple(map(str, labels))[: len(texts)], texts


def _messages(value: Any, name: str, where: str) -> tuple[Mapping[str, str], ...]:
    found = _parsed(value)
    roles = {"system", "user", "assistant"}
    ok = (
        isinstance(found, list)
        and found
        and all(isinstance(m, dict) and m.get("role") in roles and isinstance(m.get("content"), str) for m in found)
    )
    if not ok:
        raise DataError(
            f"{where}: the field {name!r} must be a list of messages {{role: system, user or assistant, content: text}}"
        )
    return tuple({"role": m["role"], "content": m["content"]} for m in found)


def _parsed(value: Any) -> Any:
    """A list or mapping that stands as JSON in a cell of text."""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else json.dumps(value, ensure_ascii=False)


def _kind(value: Any) -> str:
    kinds = {type(None): "null", dict: "an object", list: "a list", bool: "a truth value"}
    return kinds.get(type(value), "a number")
