"""Task sets with a simulated latency: what asynchronous training is for, and how it is measured."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence
from random import Random

from espalier.core.messages import Message, ToolSpec
from espalier.core.seed import rng
from espalier.envs.api import Env, Split, Step, Task, TaskSet, guess_rate
from espalier.envs.procedural import DelayConfig


class Delayed:
    """The task set `inner`, whose environments wait before they answer a turn.

    Delays are a function of the seed, the task, the turn, and how many episodes of that task there were before.
    """

    def __init__(self, inner: TaskSet, delay: DelayConfig, seed: int) -> None:
        self.name = inner.name
        self._inner = inner
        self._delay = delay
        self._seed = seed
        self._episodes: Counter[str] = Counter()

    @property
    def guess_rate(self) -> float:
        """See `Guessable`."""
        return guess_rate(self._inner)

    def task(self, split: Split, index: int) -> Task:
        """See `TaskSet`."""
        return self._inner.task(split, index)

    def env(self, task: Task) -> Env:
        """See `TaskSet`."""
        self._episodes[task.key] += 1
        delays = rng(self._seed, "delay", self.name, task.key, self._episodes[task.key])
        return DelayedEnv(self._inner.env(task), self._delay, delays)

    def tools(self, task: Task) -> Sequence[ToolSpec]:
        """See `TaskSet`."""
        return self._inner.tools(task)

    def demonstrate(self, task: Task, rng: Random) -> Sequence[Message]:
        """See `TaskSet`."""
        return self._inner.demonstrate(task, rng)


class DelayedEnv:
    """The environment `inner`, which waits before each step."""

    def __init__(self, inner: Env, delay: DelayConfig, delays: Random) -> None:
        self.name = inner.name
        self._inner = inner
        self._mu = math.log(delay.seconds) - delay.sigma**2 / 2
        self._sigma = delay.sigma
        self._delays = delays

    def tools(self) -> list[ToolSpec]:
        """See `Env`."""
        return self._inner.tools()

    async def reset(self, task: Task) -> list[Message]:
        """See `Env`; without a delay."""
        return await self._inner.reset(task)

    async def step(self, action: Message) -> Step:
        """See `Env`."""
        await asyncio.sleep(math.exp(self._delays.gauss(self._mu, self._sigma)))
        return await self._inner.step(action)

    async def close(self) -> None:
        """See `Env`."""
        await self._inner.close()
