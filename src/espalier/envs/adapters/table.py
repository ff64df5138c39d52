"""Questions of one's own, from a table: a file, a folder, or a data set of the Hugging Face hub.

    {"question": "Natalia sold ...", "answer": "In May she sold 48/2 = <<48/2=24>>24 ... #### 72"}

The environment asks and does not judge: a reward compares the answer with the reference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from random import Random
from typing import Any, Literal

from pydantic import Field, PositiveFloat

from espalier.core.data import DataRoot
from espalier.core.errors import ConfigError, DataError, NoDemonstrationsError, nearest
from espalier.core.messages import Message, Role, ToolSpec
from espalier.core.recipe.beside import PluginName, RecipePath
from espalier.envs.adapters.columns import (
    LETTERS,
    PLACE,
    ColumnsConfig,
    Record,
    asking,
    filled,
    found_columns,
    read_record,
    secret,
)
from espalier.envs.adapters.references import Rule, explained, found_rule, reference
from espalier.envs.adapters.rows import HUB_NAME, SUFFIXES, Row, read_hub, read_rows
from espalier.envs.adapters.tool_host import RemoteTools
from espalier.envs.api import Env, Split, Task
from espalier.envs.procedural import TaskConfig
from espalier.envs.question import QuestionEnv
from espalier.envs.shuffled import Shuffled
from espalier.envs.splits import instance_key, split_of
from espalier.envs.tools.env import ToolEnv

_ANNOTATION = re.compile(r"<<[^<>]*>>")
_TOOL_SECONDS = 10.0
_KEY = "jsonl"
"""Part of every key, so that a table is split as it was when only JSON lines were read."""


class TableConfig(TaskConfig):
    """A table of questions, most often with answers."""

    env: Literal["table"] = "table"
    """The environment."""
    path: RecipePath
    """JSONL, JSON, CSV, TSV or Parquet; a folder of `save_to_disk` or of such files; or `owner/name` on the Hugging
    Face hub. Looked for beside the recipe, in the working directory, below the data root."""
    split: str = "train"
    """Of a folder or a data set with several: the one to train on."""
    subset: str | None = None
    """The configuration of a data set of the hub."""
    heldout: float = Field(default=0.1, gt=0.0, lt=1.0)
    """Share of the questions, by hash, that is held out where neither of the next two is given."""
    heldout_path: RecipePath | None = None
    """A table of held-out questions."""
    heldout_split: str | None = None
    """The split of `path` that holds the held-out questions."""
    columns: ColumnsConfig = ColumnsConfig()
    """Which column plays which part; guessed where it is not said."""
    reference: Literal["auto"] | Rule = "auto"
    """What of the answer is the reference: what follows its last `####` (GSM8K), its last `\\boxed{}`, or all of it; of
    choices, how the answer names one. `auto` takes what the answers of the table have."""
    prompt: str = ""
    """The user's message, with names of columns in braces; `{question}` unless given, and the `{choices}` below it. A
    table without a column of questions needs it."""
    system: str = ""
    """A system message before each question."""
    tools: tuple[PluginName, ...] = ()
    """Typed functions, or classes of them, that the model may call: `./file.py:function`. They have your rights."""
    tool_seconds: PositiveFloat = _TOOL_SECONDS
    """Longest call of a tool."""
    longest: int = Field(default=100_000, gt=0)
    """Questions and answers with more characters together are left out, as a tiny model needs it."""


class Table:
    """Tasks with the data `question`, `answer` (the reference), `solution`, `source`, with choices also `choices`, and
    all columns of the row as `row`. `say` is told what was guessed.

    Raises DataError naming file and line of what cannot be used, ConfigError where a split has no question.
    """

    def __init__(
        self, config: TableConfig, seed: int, data: DataRoot, say: Callable[[str], None] = lambda text: None
    ) -> None:
        self.name = config.name or config.path.stem
        self._config = config
        rows, others = _rows(config, data)
        self.columns = found_columns(rows, config.columns, str(config.path), config.prompt)
        self._names = list(dict.fromkeys(name for row in rows for name in row.values))
        self._check_prompt()
        records, apart = (self._records(found) for found in (rows, others))
        self.rule: Rule | None = None
        if self.columns.answer or any(record.answer is not None for record in records):
            self.rule = found_rule([*records, *apart]) if config.reference == "auto" else config.reference
        tasks, kept_apart = self._tasks_of(records), self._tasks_of(apart)
        for key, task in kept_apart.items():
            _agree(task, tasks.get(key, task))
        if others is None:
            kept_apart = {key: task for key, task in tasks.items() if split_of(key, config.heldout) == "heldout"}
        train = [task for key, task in tasks.items() if key not in kept_apart]
        heldout = [Task(task.env, task.key, task.data, "heldout") for task in kept_apart.values()]
        self._tasks = Shuffled({"train": train, "heldout": heldout}, seed=seed, name=self.name)
        if empty := [split for split, found in self._tasks.tasks.items() if not found]:
            raise ConfigError(_none_left(config, empty[0], len({*tasks, *kept_apart})))
        self._tools = RemoteTools(config.tools, seconds=config.tool_seconds) if config.tools else None
        say(f"{self.name}: {len(train)} questions to train on, {len(heldout)} held out; {self._guesses()}")

    @property
    def guess_rate(self) -> float:
        """See `Guessable`: one of the choices at random, and never right where there are none; over all questions."""
        tasks = [task for split in self._tasks.tasks.values() for task in split]
        return sum(1 / len(task.data["choices"]) for task in tasks if "choices" in task.data) / len(tasks)

    def task(self, split: Split, index: int) -> Task:
        """See `TaskSet`. Every question comes once before any comes again, in a new order each time."""
        return self._tasks.task(split, index)

    def env(self, task: Task) -> Env:
        """See `TaskSet`."""
        if self._tools:
            return ToolEnv(self.name, self._tools, self._opening)
        return QuestionEnv(self.name, self._opening)

    def tools(self, task: Task) -> Sequence[ToolSpec]:
        """See `TaskSet`."""
        return self._tools.specs if self._tools else ()

    def demonstrate(self, task: Task, rng: Random) -> Sequence[Message]:
        """The solution as the table has it, less the calculator annotations of GSM8K; of choices, the letter."""
        if not task.data["solution"]:
            raise NoDemonstrationsError(f"{task.source}: there is no answer to demonstrate; {self._no_answer()}")
        return [*self._opening(task), Message.assistant(_ANNOTATION.sub("", task.data["solution"]))]

    def _opening(self, task: Task) -> list[Message]:
        data = task.data
        system = data.get("system") or self._config.system
        first = [Message.system(system)] if system else []
        choices = "\n".join(f"{letter}) {text}" for letter, text in zip(LETTERS, data.get("choices", ()), strict=False))
        if "messages" in data:
            return _with_choices(_with_system(first, Record("", "", messages=data["messages"]).opening()), choices)
        prompt = self._config.prompt or ("{question}\n{choices}" if choices else "{question}")
        return [
            *first,
            Message.user(filled(prompt, data["row"], self.columns, question=data["question"], choices=choices)),
        ]

    def _check_prompt(self) -> None:
        """Raises ConfigError where the prompt asks nothing, or cannot be used."""
        prompt, path = self._config.prompt, self._config.path
        if not prompt:
            return
        if self.columns.messages:
            raise ConfigError(f"{path}: its column {self.columns.messages!r} holds whole messages: leave `prompt` out")
        known = {"choices", *self._names} - secret(self.columns)
        known |= {"question"} if self.columns.question else set()
        names = PLACE.findall(prompt)
        unknown = [name for name in names if name not in known]
        wrong = [n for n in unknown if n == "question" or len(names) == 1 or get_close_matches(n, known)]
        if wrong:
            raise ConfigError(f"prompt: {{{wrong[0]}}} is no column of {path}{nearest(wrong[0], known)}")
        if not names:
            raise ConfigError("prompt: it asks the same of every row: put {question}, or another column, into it")

    def _tasks_of(self, records: Sequence[Record]) -> dict[str, Task]:
        """Tasks by key, each question once. Raises DataError where one question has two answers."""
        tasks: dict[str, Task] = {}
        for record in records:
            instance: dict[str, Any] = {"question": record.question}
            if record.asked is not None:
                instance = {"asked": dict(record.asked)}  # not the prompt's words, which an evaluation may change
            data: dict[str, Any] = {"question": record.question}
            if self.rule:
                data["answer"] = reference(record, self.rule)
            data["solution"] = record.solution or (data.get("answer", "") if record.choices else record.text)
            if record.choices:
                data["choices"] = instance["choices"] = list(record.choices)
            if record.messages:
                data["messages"] = instance["messages"] = [dict(message) for message in record.messages]
            if record.system:
                data["system"] = instance["system"] = record.system
            data |= {"source": record.where, "row": dict(record.row or {})}
            task = Task(self.name, instance_key(_KEY, instance), data)
            _agree(tasks.setdefault(task.key, task), task)
        return tasks

    def _records(self, rows: Sequence[Row] | None) -> list[Record]:
        prompt = self._config.prompt
        asked_by = asking(prompt, self.columns, self._names)
        records = [read_record(row, self.columns, prompt, asked_by) for row in rows or ()]
        return [record for record in records if len(record.question) + len(record.text) <= self._config.longest]

    def _guesses(self) -> str:
        given, found = self._config.columns, self.columns
        names = {part: name for part, name in found.model_dump().items() if name}
        parts = []
        if found != given:
            parts.append(f"columns: {{{', '.join(f'{part}: {_named(name)}' for part, name in names.items())}}}")
        if self.rule and self._config.reference == "auto":
            parts.append(f"reference: {self.rule} ({explained(self.rule)})")
        said = f"found {', '.join(parts)}" if parts else "columns and reference as given"
        return said if self.rule else f"{said}; {self._no_answer()}, or judge without one (`rewards`)"

    def _no_answer(self) -> str:
        there = ", ".join(map(str, self._names)) or "none"
        return f"no column looks like an answer among {there}: set columns: {{answer: NAME}}"


def _with_system(first: Sequence[Message], messages: Sequence[Message]) -> list[Message]:
    """The messages after `first`, unless they begin with a system message of their own."""
    return [*(() if messages and messages[0].role == Role.SYSTEM else first), *messages]


def _with_choices(messages: list[Message], choices: str) -> list[Message]:
    """The messages, with the choices below the last one."""
    if choices and messages:
        messages[-1] = replace(messages[-1], content=f"{messages[-1].content}\n{choices}")
    return messages


def _named(name: str | Sequence[str]) -> str:
    return name if isinstance(name, str) else f"[{', '.join(name)}]"


def _rows(config: TableConfig, data: DataRoot) -> tuple[list[Row], list[Row] | None]:
    """Rows to train on, and those held out where they are apart."""
    path, split = config.path, config.split

    def read(path: Path, split: str) -> list[Row]:
        try:
            place = data.locate(path)
        except DataError as error:
            name = path.as_posix()
            if not HUB_NAME.fullmatch(name) or path.suffix.lower() in SUFFIXES:
                raise
            try:
                return read_hub(name, config.subset, split)
            except DataError as other:
                raise DataError(f"{error}. And {other}") from None
        return read_rows(place, split)

    if config.heldout_path:
        return read(path, split), read(config.heldout_path, config.heldout_split or split)
    return read(path, split), read(path, config.heldout_split) if config.heldout_split else None


def _none_left(config: TableConfig, split: Split, found: int) -> str:
    path = config.heldout_path if config.heldout_path and split == "heldout" else config.path
    said = f"{path}: none of its {found} questions of up to longest={config.longest} characters is left for {split}"
    if config.heldout_path or config.heldout_split or not found:
        return said
    return f"{said}; a share of {config.heldout:g} is held out by hash: set heldout, or give a heldout_path"


def _agree(one: Task, other: Task) -> None:
    if one.answer != other.answer:
        raise DataError(
            f"{other.source}: the same question as in {one.source}, with the answer {other.answer[:40]!r} "
            f"instead of {one.answer[:40]!r}: drop one of them"
        )
