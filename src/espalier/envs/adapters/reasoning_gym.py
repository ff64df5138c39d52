"""Any task of reasoning-gym by name; its own scorer gives the reward.

Puzzles are made and answers scored by worker processes: some of both take seconds, some never end.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib.util import find_spec
from random import Random
from typing import Any, Literal

from pydantic import Field, PositiveFloat, field_validator

from espalier.core.errors import ConfigError, EnvError, MissingExtraError
from espalier.core.messages import Message, ToolSpec
from espalier.core.seed import rng
from espalier.envs.api import Env, Split, Step, Task
from espalier.envs.procedural import TRIES, TaskConfig
from espalier.envs.question import QuestionEnv
from espalier.envs.splits import instance_key, split_of
from espalier.envs.workers.pool import Pool
from espalier.envs.workers.process import OverrunError

MAKE_SECONDS = 120.0
"""Longest making of a data set, or of one puzzle."""


class ReasoningGymConfig(TaskConfig):
    """One of reasoning-gym's tasks."""

    env: Literal["reasoning_gym"] = "reasoning_gym"
    """The environment."""
    task: str
    """Name of the task, such as `chain_sum`; reasoning-gym's gallery lists them."""
    options: dict[str, Any] = Field(default={})
    """Fields of the task's own configuration, its difficulty among them."""
    answer_pattern: str = r"(?s)\s*(.*?)\s*"
    """Regular expression that a whole response must match; its one group is the answer."""
    answer_template: str = "{answer}"
    """How demonstrations write the reference answer; must match `answer_pattern`."""
    heldout: float = Field(default=0.2, gt=0.0, lt=1.0)
    """Share of instances, by hash of the question, that are held out."""
    seconds: PositiveFloat = 5.0
    """Longest scoring of an answer; one that takes longer earns 0."""

    @field_validator("answer_pattern")
    @classmethod
    def _one_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except re.error as error:
            raise ValueError(f"{pattern!r} is no regular expression: {error}") from None
        if groups != 1:
            raise ValueError(f"{pattern!r} must have one group, the answer; it has {groups}")
        return pattern


class ReasoningGym:
    """Data of a task: question, reference answer and the item's number, from which the rest can be made again."""

    def __init__(self, config: ReasoningGymConfig, seed: int, pool: Pool | None = None) -> None:
        """`pool` holds a `Gallery`. Raises ConfigError where reasoning-gym has no such task, or cannot set it up."""
        self.name = config.name or config.task
        self._config = config
        self._seed = seed
        self._pool = pool or gallery_pool()
        self._which = (config.task, json.dumps(config.options, sort_keys=True))
        try:
            self._size: int = self._pool.call("size", *self._which, seconds=MAKE_SECONDS)
        except OverrunError as error:
            raise ConfigError(f"the reasoning-gym task {config.task} cannot be set up: {error}") from None

    def task(self, split: Split, index: int) -> Task:
        """See `TaskSet`."""
        random = rng(self._seed, self.name, split, index)
        for _ in range(TRIES):
            number = random.randrange(self._size)
            question, answer = self._puzzle(number)
            key = instance_key(self._config.task, {"question": question})
            if split_of(key, self._config.heldout) == split:
                return Task(self.name, key, {"question": question, "answer": answer, "item": number}, split)
        raise ConfigError(f"{self.name}: {TRIES} draws gave no {split} instance; make the task more difficult")

    def env(self, task: Task) -> Env:
        """See `TaskSet`."""
        return PuzzleEnv(self)

    async def judge(self, task: Task, response: str) -> Step:
        """The end, with reasoning-gym's score of the answer in the response, 0 to 1.

        0 where the response has another form; 0 and counted as `scorer_errors` where the scorer fails or is too slow.
        """
        question = (*self._which, task.data["item"], self._config.answer_pattern, response)
        try:
            prepare = ("prepare", MAKE_SECONDS)
            score = await self._pool.ask("score", *question, seconds=self._config.seconds, prepare=prepare)
        except EnvError:
            return Step(reward=0.0, info={"scorer_errors": 1.0})
        return Step(reward=score, info={"scorer_errors": 0.0})

    def tools(self, task: Task) -> Sequence[ToolSpec]:
        """See `TaskSet`."""
        return ()

    def demonstrate(self, task: Task, rng: Random) -> Sequence[Message]:
        """The reference answer alone: reasoning-gym gives no worked solutions."""
        if not task.answer:
            raise EnvError(f"{self.name}: this task has no reference answer to demonstrate")
        text = self._config.answer_template.replace("{answer}", task.answer)
        return [Message.user(task.data["question"]), Message.assistant(text)]

    def _puzzle(self, number: int) -> tuple[str, str]:
        try:
            question, answer = self._pool.call("puzzle", *self._which, number, seconds=MAKE_SECONDS)
        except EnvError as error:
            raise ConfigError(f"{self.name}: reasoning-gym could not make puzzle {number}: {error}") from None
        return question, answer


class PuzzleEnv(QuestionEnv):
    """Asks a puzzle, and has the answer scored elsewhere."""

    def __init__(self, tasks: ReasoningGym) -> None:
        super().__init__(tasks.name, lambda task: str(task.data["question"]))
        self._tasks = tasks

    async def step(self, action: Message) -> Step:
        """See `ReasoningGym.judge`."""
        return await self._tasks.judge(self._asked(), action.content)


def gallery_pool() -> Pool:
    """Workers for any number of reasoning-gym's tasks. Raises MissingExtraError without the package."""
    if find_spec("reasoning_gym") is None:
        raise MissingExtraError("reasoning-gym", "rl")
    return Pool(_gallery)


def _gallery() -> Any:
    from espalier.envs.adapters.gallery import Gallery  # in a worker only: it imports reasoning-gym

    return Gallery()
