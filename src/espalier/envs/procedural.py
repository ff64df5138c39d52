"""What task sets that draw instances share: the split by hash, one question, one answer, the `#` that marks it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, ClassVar, Generic, TypeVar

from pydantic import Field, PositiveFloat

from espalier.core.config import Config
from espalier.core.errors import ConfigError
from espalier.core.messages import Message, ToolSpec
from espalier.core.seed import rng
from espalier.envs.api import Env, Split, Task
from espalier.envs.question import QuestionEnv
from espalier.envs.splits import instance_key, split_of

TRIES = 2000
"""Draws before a split is called empty."""


class DelayConfig(Config):
    """Simulated latency of an environment: each answer to a turn takes a lognormal time."""

    seconds: PositiveFloat
    """Mean of the delay in seconds."""
    sigma: float = Field(default=1.0, ge=0.0, le=3.0)
    """Standard deviation of its logarithm; 0 for a constant delay."""


class TaskConfig(Config):
    """What every task set is told."""

    later: ClassVar[frozenset[str]] = frozenset({"delay"})

    name: str = ""
    """Its name in metrics; the environment's unless given. Needed where a mixture holds the same environment twice."""
    weight: float = Field(default=1.0, gt=0.0)
    """Share in a mixture, relative to the other sets'."""
    delay: DelayConfig | None = None
    """Simulated latency, to study training with slow environments."""


C = TypeVar("C", bound=TaskConfig)


class Procedural(ABC, Generic[C]):
    """An endless task set: task `index` is drawn by a random stream of its own. Instances are plain JSON data."""

    env_name: str
    """The environment, as recipes name it; instances of equal content share key and split across differing names."""

    def __init__(self, config: C, seed: int) -> None:
        self.name = config.name or self.env_name
        self.config = config
        self._seed = seed

    @property
    def guess_rate(self) -> float:
        """Probability that a guess is right, averaged over what `draw` gives: see `Guessable`.

        A guess is drawn uniformly from all answers of the right form; each set says what its form is. The value is
        exact. 0.0 where the set states none: guesses are then seldom right, or their rate has no exact value.
        """
        return 0.0

    @abstractmethod
    def draw(self, random: Random) -> dict[str, Any]:
        """A new instance."""

    @abstractmethod
    def env(self, task: Task) -> Env:
        """See `TaskSet`."""

    @abstractmethod
    def demonstrate(self, task: Task, rng: Random) -> Sequence[Message]:
        """See `TaskSet`."""

    def canonical(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """What of an instance decides its key and so its split."""
        return data

    def known(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """What a task says besides its instance: the reference answer, where there is one."""
        return {}

    def tools(self, task: Task) -> Sequence[ToolSpec]:
        """See `TaskSet`."""
        return ()

    def task(self, split: Split, index: int) -> Task:
        """See `TaskSet`."""
        random = rng(self._seed, self.name, split, index)
        for _ in range(TRIES):
            data = self.draw(random)
            key = instance_key(self.env_name, self.canonical(data))
            if split_of(key) == split:
                return Task(self.name, key, {**data, **self.known(data)}, split)
        raise ConfigError(f"{self.name}: {TRIES} draws gave no {split} instance; make the tasks more difficult")


class Question(Procedural[C]):
    """One question, one answer: any text without `#`, then `#` and the answer, then nothing."""

    @abstractmethod
    def question(self, data: Mapping[str, Any]) -> str:
        """The text of the user's message."""

    @abstractmethod
    def answer(self, data: Mapping[str, Any]) -> str:
        """The right answer, or one of them."""

    @abstractmethod
    def solve(self, data: Mapping[str, Any], random: Random) -> str:
        """A demonstration of a whole response, as imperfect as the config asks for."""

    def verify(self, data: Mapping[str, Any], answer: str) -> bool:
        """Whether the text after `#` solves the instance."""
        return answer == self.answer(data)

    def canonical_answer(self, data: Mapping[str, Any], answer: str) -> str:
        """A form of the text after `#` that is the same for right answers that are the same solution.

        Counts of different solutions compare it. It is a right answer itself, without white space at its ends. An
        answer that is wrong comes back with its white space stripped, or in some other form.
        """
        return answer.strip()

    def solution(self, task: Task, response: str) -> str:
        """The canonical form of the answer in a right response."""
        return self.canonical_answer(task.data, final(response) or "")

    def known(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """See `Procedural`."""
        return {"answer": self.answer(data)}

    def env(self, task: Task) -> Env:
        """See `TaskSet`."""
        return QuestionEnv(self.name, lambda task: self.question(task.data), self.judge)

    def judge(self, task: Task, response: str) -> float:
        """1.0 for a response that ends in a right answer."""
        answer = final(response)
        return float(answer is not None and self.verify(task.data, answer))

    def demonstrate(self, task: Task, rng: Random) -> Sequence[Message]:
        """See `TaskSet`."""
        return [Message.user(self.question(task.data)), Message.assistant(self.solve(task.data, rng))]


def final(response: str) -> str | None:
    """The text after the one `#` of a response; None where there is none, or more, or it is glued to a word."""
    before, mark, answer = response.partition("#")
    if not mark or "#" in answer or (before and not before.endswith(" ")):
        return None
    return answer
