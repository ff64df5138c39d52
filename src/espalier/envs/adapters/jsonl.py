"""Questions and answers from JSON-lines files, by default in GSM8K's format.

    {"question": "Natalia sold ...", "answer": "In May she sold 48/2 = <<48/2=24>>24 ... #### 72"}

The environment asks and does not judge: a reward of the rubric does, such as `numeric`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Literal

from pydantic import Field

from espalier.core.data import DataRoot
from espalier.core.errors import ConfigError, DataError
from espalier.core.messages import Message, ToolSpec
from espalier.core.seed import rng
from espalier.envs.adapters.records import MARK, Record, Rule, found_rule, read_records, reference
from espalier.envs.api import Env, Split, Task
from espalier.envs.procedural import TaskConfig
from espalier.envs.question import QuestionEnv
from espalier.envs.splits import instance_key, split_of

_FOUND: dict[Rule, str] = {
    "final_number": f"answers end with {MARK} and the reference",
    "boxed": "the reference is in the last box of an answer",
    "whole": "the whole answer is the reference",
}
_ANNOTATION = re.compile(r"<<[^<>]*>>")


class JsonlConfig(TaskConfig):
    """A file of questions with answers, one JSON object a line."""

    env: Literal["jsonl"] = "jsonl"
    """The environment."""
    path: Path
    """The file, absolute or below the data root."""
    heldout_path: Path | None = None
    """A file of held-out questions; without one a share of `path` is held out."""
    heldout: float = Field(default=0.1, gt=0.0, lt=1.0)
    """Share of questions of `path`, by hash, that are held out where there is no `heldout_path`."""
    question: str = "question"
    """Field that holds the question."""
    answer: str = "answer"
    """Field that holds the answer."""
    reference: Literal["auto"] | Rule = "auto"
    """What of the answer is the reference: what follows its last `####` (GSM8K), its last `\\boxed{}`, or all of it.
    `auto` takes the one of them that the answers of the file have."""
    prompt: str = "{question}"
    """The user's message."""
    longest: int = Field(default=100_000, gt=0)
    """Questions and answers with more characters together are left out, as a tiny model needs it."""


class Jsonl:
    """Data of a task: question, reference answer, the written solution, and where they stand."""

    def __init__(
        self, config: JsonlConfig, seed: int, data: DataRoot, say: Callable[[str], None] = lambda text: None
    ) -> None:
        """`say` is told which rule was found. Raises DataError naming file and line of what cannot be used."""
        self.name = config.name or config.path.stem
        self._config = config
        self._seed = seed
        records = self._records(config.path, data)
        others = self._records(config.heldout_path, data) if config.heldout_path else []
        self.rule: Rule = found_rule([*records, *others]) if config.reference == "auto" else config.reference
        if config.reference == "auto":
            say(f"{self.name}: {_FOUND[self.rule]} (reference: {self.rule})")
        tasks = self._tasks_of(records, self.rule)
        if config.heldout_path is None:
            heldout = [task for task in tasks.values() if split_of(task.key, config.heldout) == "heldout"]
        else:
            kept_apart = self._tasks_of(others, self.rule)
            for key, task in kept_apart.items():
                _agree(task, tasks.get(key, task))
            heldout = list(kept_apart.values())
        apart = {task.key for task in heldout}
        train = [task for task in tasks.values() if task.key not in apart]
        self._tasks: dict[Split, list[Task]] = {
            "train": train,
            "heldout": [Task(t.env, t.key, t.data, "heldout") for t in heldout],
        }
        self._shuffled: tuple[tuple[Split, int], list[Task]] = (("train", -1), [])
        """The order of one epoch of one split: what was asked for last."""
        if empty := [split for split, tasks in self._tasks.items() if not tasks]:
            raise ConfigError(_none_left(config, empty[0], len({*tasks, *apart})))

    def task(self, split: Split, index: int) -> Task:
        """See `TaskSet`. Every question comes once before any comes again, in a new order each time."""
        epoch, place = divmod(index, len(self._tasks[split]))
        if (split, epoch) != self._shuffled[0]:
            order = list(self._tasks[split])
            rng(self._seed, self.name, split, epoch).shuffle(order)
            self._shuffled = ((split, epoch), order)
        return self._shuffled[1][place]

    def env(self, task: Task) -> Env:
        """See `TaskSet`."""
        return QuestionEnv(self.name, self._ask)

    def tools(self, task: Task) -> Sequence[ToolSpec]:
        """See `TaskSet`."""
        return ()

    def demonstrate(self, task: Task, rng: Random) -> Sequence[Message]:
        """The answer as the file has it, less the calculator annotations of GSM8K."""
        return [Message.user(self._ask(task)), Message.assistant(_ANNOTATION.sub("", task.data["solution"]))]

    def _ask(self, task: Task) -> str:
        return self._config.prompt.replace("{question}", task.data["question"])

    def _tasks_of(self, records: Sequence[Record], rule: Rule) -> dict[str, Task]:
        """Tasks by key, each question once. Raises DataError where one question has two answers."""
        tasks: dict[str, Task] = {}
        for record in records:
            data = {"question": record.question, "answer": reference(record, rule), "solution": record.answer}
            key = instance_key("jsonl", {"question": record.question})
            task = Task(self.name, key, {**data, "source": record.where})
            _agree(tasks.setdefault(key, task), task)
        return tasks

    def _records(self, path: Path, data: DataRoot) -> list[Record]:
        config = self._config
        records = read_records(_find(path, data), config.question, config.answer)
        return [record for record in records if len(record.question) + len(record.answer) <= config.longest]


def _none_left(config: JsonlConfig, split: Split, found: int) -> str:
    path = config.heldout_path if config.heldout_path and split == "heldout" else config.path
    said = f"{path}: none of its {found} questions of up to longest={config.longest} characters is left for {split}"
    apart = f"a share of {config.heldout:g} is held out by hash: set heldout, or give a heldout_path"
    return said if config.heldout_path or not found else f"{said}; {apart}"


def _agree(one: Task, other: Task) -> None:
    if one.answer != other.answer:
        raise DataError(
            f"{other.source}: the same question as in {one.source}, with the answer {other.answer[:40]!r} "
            f"instead of {one.answer[:40]!r}: drop one of them"
        )


def _find(path: Path, data: DataRoot) -> Path:
    """An existing file. Raises DataError saying where it was looked for."""
    if path.parts[:1] == ("~",):
        path = path.expanduser()
    if path.is_absolute():
        if not path.exists():
            raise DataError(f"there is no {path} (an absolute path, so it was looked for nowhere else)")
    else:
        here = path
        try:
            path = data.file(str(path))
        except DataError as error:
            if not here.is_file():
                raise
            raise DataError(f"{error} There is one in the working directory: name it {here.resolve()}") from None
    if path.is_dir():
        raise DataError(f"{path} is a folder: name a file of JSON lines in it")
    return path
