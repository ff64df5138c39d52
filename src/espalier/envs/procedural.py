"""What all procedural task sets share: draw an instance, find its split by hash, ask once, verify."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from espalier.core.errors import ConfigError, EnvError
from espalier.core.messages import Message, ToolSpec
from espalier.core.seed import rng
from espalier.envs.api import Env, Split, Step, Task

HELDOUT_SHARE = 0.2
"""Share of instances, by hash, that are held out."""
TRIES = 2000
"""Draws before a split is called empty."""


def instance_key(env: str, data: Mapping[str, Any]) -> str:
    """A stable name of an instance: a hash of its canonical JSON."""
    text = env + json.dumps(data, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def split_of(key: str) -> Split:
    """The split an instance belongs to, whatever seed drew it."""
    return "heldout" if int(key, 16) % 1000 < 1000 * HELDOUT_SHARE else "train"


class Procedural(ABC):
    """An endless task set of questions with one answer message. Subclasses draw, ask, verify and demonstrate."""

    name: str

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __len__(self) -> int:
        return 1 << 40

    @abstractmethod
    def draw(self, random: Random) -> dict[str, Any]:
        """A new instance as plain data: what is asked, in canonical form."""

    @abstractmethod
    def question(self, data: Mapping[str, Any]) -> str:
        """The text of the user's message."""

    @abstractmethod
    def verify(self, data: Mapping[str, Any], response: str) -> bool:
        """Whether `response` solves the instance."""

    @abstractmethod
    def solve(self, data: Mapping[str, Any], random: Random) -> str:
        """A demonstration of an answer."""

    def task(self, split: Split, index: int) -> Task:
        """See `TaskSet`."""
        random = rng(self._seed, self.name, split, index)
        for _ in range(TRIES):
            data = self.draw(random)
            key = instance_key(self.name, data)
            if split_of(key) == split:
                return Task(self.name, key, data, split)
        raise ConfigError(f"{self.name}: {TRIES} draws gave no {split} instance; make the tasks more difficult")

    def env(self, task: Task) -> Env:
        """See `TaskSet`."""
        return QuestionEnv(self)

    def tools(self, task: Task) -> Sequence[ToolSpec]:
        """See `TaskSet`."""
        return ()

    def demonstrate(self, task: Task, rng: Random) -> Sequence[Message]:
        """See `TaskSet`."""
        return [Message.user(self.question(task.data)), Message.assistant(self.solve(task.data, rng))]


class QuestionEnv:
    """Asks the question, verifies the one answer."""

    def __init__(self, tasks: Procedural) -> None:
        self.name = tasks.name
        self._tasks = tasks
        self._task: Task | None = None

    def tools(self) -> list[ToolSpec]:
        """None."""
        return []

    async def reset(self, task: Task) -> list[Message]:
        """The question."""
        self._task = task
        return [Message.user(self._tasks.question(task.data))]

    async def step(self, action: Message) -> Step:
        """Reward 1.0 for a correct answer."""
        if self._task is None:
            raise EnvError(f"{self.name}: step before reset")
        return Step(reward=float(self._tasks.verify(self._task.data, action.content)))

    async def close(self) -> None:
        """Nothing to free."""
