"""Any task of reasoning-gym by name; its own scorer gives the reward."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator

from espalier.core.errors import ConfigError, EnvError, MissingExtraError, nearest
from espalier.core.messages import Message, ToolSpec
from espalier.core.seed import rng
from espalier.envs.api import Env, Split, Task
from espalier.envs.procedural import TRIES, TaskConfig
from espalier.envs.question import QuestionEnv
from espalier.envs.splits import instance_key, split_of

if TYPE_CHECKING:
    from reasoning_gym.dataset import ProceduralDataset

ITEMS = 2**31
"""Items of a data set; each is generated from its number when it is asked for."""


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

    def __init__(self, config: ReasoningGymConfig, seed: int) -> None:
        self.name = config.name or config.task
        self._config = config
        self._seed = seed
        self._pattern = re.compile(config.answer_pattern)
        self._items = _data_set(config)

    def task(self, split: Split, index: int) -> Task:
        """See `TaskSet`."""
        random = rng(self._seed, self.name, split, index)
        for _ in range(TRIES):
            number = random.randrange(ITEMS)
            item = self._items[number]
            key = instance_key(self._config.task, {"question": item["question"]})
            if split_of(key, self._config.heldout) == split:
                data = {"question": item["question"], "answer": item["answer"] or "", "item": number}
                return Task(self.name, key, data, split)
        raise ConfigError(f"{self.name}: {TRIES} draws gave no {split} instance; make the task more difficult")

    def env(self, task: Task) -> Env:
        """See `TaskSet`."""
        return QuestionEnv(self.name, lambda task: str(task.data["question"]), self.judge)

    def judge(self, task: Task, response: str) -> float:
        """reasoning-gym's score of the answer in the response, 0 to 1; 0 where the response has another form."""
        found = self._pattern.fullmatch(response)
        if found is None:
            return 0.0
        try:
            return float(self._items.score_answer(found[1], self._items[task.data["item"]]))
        except Exception as error:
            raise EnvError(f"{self.name}: reasoning-gym could not score {found[1]!r:.80}: {error!r}") from error

    def tools(self, task: Task) -> Sequence[ToolSpec]:
        """See `TaskSet`."""
        return ()

    def demonstrate(self, task: Task, rng: Random) -> Sequence[Message]:
        """The reference answer alone: reasoning-gym gives no worked solutions."""
        if not task.answer:
            raise EnvError(f"{self.name}: this task has no reference answer to demonstrate")
        text = self._config.answer_template.format(answer=task.answer)
        return [Message.user(task.data["question"]), Message.assistant(text)]


def _data_set(config: ReasoningGymConfig) -> ProceduralDataset:
    try:
        import reasoning_gym
        from reasoning_gym.factory import DATASETS
    except ImportError:
        raise MissingExtraError("reasoning-gym", "rl") from None
    names: Mapping[str, Any] = DATASETS
    if config.task not in names:
        raise ConfigError(f"reasoning-gym has no task {config.task!r}{nearest(config.task, names)}")
    try:
        return reasoning_gym.create_dataset(config.task, seed=0, size=ITEMS, **config.options)
    except (TypeError, AssertionError, ValueError) as error:
        raise ConfigError(f"options of the reasoning-gym task {config.task}: {error}") from None
