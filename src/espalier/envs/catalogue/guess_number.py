"""Guessing a number from `higher` and `lower`, in as few turns as halving needs.

    1-50?   ->   #25   >   #38   <   #31   ...

A policy that halves the interval always wins; one that guesses at random seldom does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, Literal

from pydantic import Field

from espalier.core.errors import EnvError
from espalier.core.messages import Message, ToolSpec
from espalier.envs.api import Env, Step, Task
from espalier.envs.procedural import Procedural, TaskConfig

_GUESS = re.compile(r"#(\d{1,9})")


class GuessNumberConfig(TaskConfig):
    """Find a number between 1 and at most `largest`."""

    env: Literal["guess_number"] = "guess_number"
    """The environment."""
    largest: int = Field(default=60, ge=4, le=100_000)
    """Largest upper end of an interval: the difficulty. Intervals end between half of it and it."""
    slips: float = Field(default=0.5, ge=0.0, le=1.0)
    """Probability that a guess of a demonstration is any number of the interval left, rather than its middle."""


class GuessNumber(Procedural[GuessNumberConfig]):
    """Instances `{"high": 50, "secret": 31}`."""

    env_name = "guess_number"

    @property
    def guess_rate(self) -> float:
        """See `Procedural`. The form: a number of the interval in each turn, whatever was answered before."""
        highs = range(self.config.largest // 2, self.config.largest + 1)
        return sum(1 - (1 - 1 / high) ** turns_allowed(high) for high in highs) / len(highs)

    def draw(self, random: Random) -> dict[str, Any]:
        """See `Procedural`."""
        high = random.randint(self.config.largest // 2, self.config.largest)
        return {"high": high, "secret": random.randint(1, high)}

    def known(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """See `Procedural`."""
        return {"answer": str(data["secret"])}

    def env(self, task: Task) -> Env:
        """See `TaskSet`."""
        return GuessNumberEnv(self.name)

    def demonstrate(self, task: Task, rng: Random) -> Sequence[Message]:
        """See `TaskSet`. It ends with the turns allowed, found or not."""
        low, high, secret = 1, task.data["high"], task.data["secret"]
        messages = [Message.user(question(task))]
        for _ in range(turns_allowed(high)):
            guess = rng.randint(low, high) if rng.random() < self.config.slips else (low + high) // 2
            messages.append(Message.assistant(f"#{guess}"))
            if guess == secret:
                return messages
            low, high = (guess + 1, high) if guess < secret else (low, guess - 1)
            messages.append(hint(guess, secret))
        return messages[:-1]


class GuessNumberEnv:
    """Says `>` where the secret is higher than the guess and `<` where it is lower."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._task: Task | None = None
        self._turns = 0

    def tools(self) -> list[ToolSpec]:
        """None."""
        return []

    async def reset(self, task: Task) -> list[Message]:
        """The interval."""
        self._task, self._turns = task, 0
        return [Message.user(question(task))]

    async def step(self, action: Message) -> Step:
        """1.0 for the number within the turns that halving needs; anything but `#` and a number ends the episode."""
        if self._task is None:
            raise EnvError(f"{self.name}: step before reset")
        self._turns += 1
        found = _GUESS.fullmatch(action.content)
        if found is None:
            return Step(reward=0.0, info={"malformed": 1.0})
        guess, secret = int(found[1]), int(self._task.data["secret"])
        if guess == secret or self._turns >= turns_allowed(self._task.data["high"]):
            return Step(reward=float(guess == secret))
        return Step((hint(guess, secret),), done=False)

    async def close(self) -> None:
        """Nothing to free."""


def question(task: Task) -> str:
    """`1-50?`"""
    return f"1-{task.data['high']}?"


def hint(guess: int, secret: int) -> Message:
    """`>` where the secret is higher, `<` where it is lower."""
    return Message.user(">" if guess < secret else "<")


def turns_allowed(high: int) -> int:
    """Guesses that halving needs for 1 to `high` at worst."""
    return high.bit_length()
