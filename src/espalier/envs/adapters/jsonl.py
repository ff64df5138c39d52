"""Questions and answers from JSON-lines files, by default in GSM8K's format.

    {"question": "Natalia sold ...", "answer": "In May she sold 48/2 = <<48/2=24>>24 ... #### 72"}

The environment asks and does not judge: a reward of the rubric does, such as `numeric`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any, Literal

from pydantic import Field

from espalier.core.data import DataRoot
from espalier.core.errors import ConfigError, DataError
from espalier.core.messages import Message, ToolSpec
from espalier.core.seed import rng
from espalier.envs.api import Env, Split, Task
from espalier.envs.procedural import TaskConfig
from espalier.envs.question import QuestionEnv
from espalier.envs.splits import instance_key, split_of

MARK = "####"
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
    reference: Literal["final_number", "whole"] = "final_number"
    """What of the answer is the reference: the number after its last `####` (GSM8K), or all of it."""
    prompt: str = "{question}"
    """The user's message."""
    longest: int = Field(default=100_000, gt=0)
    """Questions and answers with more characters together are left out, as a tiny model needs it."""


class Jsonl:
    """Data of a task: question, reference answer and the written solution."""

    def __init__(self, config: JsonlConfig, seed: int, data: DataRoot) -> None:
        self.name = config.name or config.path.stem
        self._config = config
        self._seed = seed
        train = self._read(_find(config.path, data))
        if config.heldout_path is None:
            heldout = [task for task in train if split_of(task.key, config.heldout) == "heldout"]
            train = [task for task in train if split_of(task.key, config.heldout) == "train"]
        else:
            heldout = self._read(_find(config.heldout_path, data))
            seen = {task.key for task in heldout}
            train = [task for task in train if task.key not in seen]
        self._tasks: dict[Split, list[Task]] = {
            "train": train,
            "heldout": [Task(t.env, t.key, t.data, "heldout") for t in heldout],
        }
        self._shuffled: tuple[tuple[Split, int], list[Task]] = (("train", -1), [])
        """The order of one epoch of one split: what was asked for last."""
        if empty := [split for split, tasks in self._tasks.items() if not tasks]:
            raise ConfigError(f"{self.name}: no question is left for the {empty[0]} split")

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

    def _read(self, path: Path) -> list[Task]:
        tasks: dict[str, Task] = {}
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    question, solution = self._fields(line, f"{path}:{number}")
                    if len(question) + len(solution) <= self._config.longest:
                        task = self._task(question, solution, f"{path}:{number}")
                        tasks.setdefault(task.key, task)
        return list(tasks.values())

    def _fields(self, line: str, where: str) -> tuple[str, str]:
        try:
            record: Any = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{where}: this is no JSON: {error}") from None
        if not isinstance(record, dict):
            raise DataError(f"{where}: expected a JSON object, found {type(record).__name__}")
        for name in (self._config.question, self._config.answer):
            if not isinstance(record.get(name), str):
                fields = ", ".join(record) or "no field"
                raise DataError(f"{where}: the field {name!r} must be text; the line has {fields}")
        return record[self._config.question], record[self._config.answer]

    def _task(self, question: str, solution: str, where: str) -> Task:
        reference = solution
        if self._config.reference == "final_number":
            _, mark, reference = solution.rpartition(MARK)
            if not mark:
                raise DataError(f"{where}: the answer has no {MARK} before its number; set reference: whole?")
        data = {"question": question, "answer": reference.strip(), "solution": solution}
        return Task(self.name, instance_key("jsonl", {"question": question}), data)


def _find(path: Path, data: DataRoot) -> Path:
    return path if path.is_absolute() and path.is_file() else data.file(str(path))
