"""A task set of the user's own, named by where its factory is, in a process of its own.

There it may compute for long, hang or die: the run goes on, and a call that passes its deadline fails its episode.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any, Literal

from pydantic import Field, PositiveInt

from espalier.core.errors import ConfigError, EnvError
from espalier.core.messages import Message, ToolSpec
from espalier.core.recipe.beside import PluginName
from espalier.envs.adapters.host import Host
from espalier.envs.api import Split, Step, Task
from espalier.envs.procedural import TaskConfig
from espalier.envs.workers.process import CallError, EndedError, OverrunError
from espalier.envs.workers.worker import Served, Start, Worker

SECONDS = 60.0
"""Longest call of the set itself: a task, its tools, a demonstration."""


class PluginConfig(TaskConfig):
    """`factory(seed=..., **options)` must return a `TaskSet`. It runs with your rights: name only code you trust."""

    env: Literal["plugin"] = "plugin"
    """The environment."""
    factory: PluginName
    """Where the factory is, as `./file.py:callable` beside the recipe, or `package.module:callable`."""
    options: dict[str, Any] = Field(default={})
    """Its keyword arguments, besides `seed`."""
    workers: PositiveInt = 1
    """Processes that hold it, episodes in turn; more than one where steps compute for long."""


class PluginTasks:
    """See `TaskSet`. `start` starts its processes. Raises ConfigError saying what about the factory is wrong."""

    def __init__(self, config: PluginConfig, seed: int, start: Start = Worker) -> None:
        self._workers = [start(Host, config.factory, seed, config.options) for _ in range(config.workers)]
        self._episodes = itertools.count()
        self._renamed = config.name
        self._made: dict[tuple[Split, int], Task] = {}
        self._offered: dict[str, Sequence[ToolSpec]] = {}
        """Tasks made ahead, and the tools of tasks by their key."""
        try:
            self.name = config.name or self._asked("name")
        except (CallError, OverrunError) as error:
            raise ConfigError(f"{config.factory}: {error}") from None

    @property
    def guess_rate(self) -> float:
        """See `Guessable`: what the user's set says, 0.0 where it says nothing."""
        return float(self._call("guess_rate"))

    def task(self, split: Split, index: int) -> Task:
        """See `TaskSet`."""
        if (split, index) not in self._made:
            made = self._call("tasks", split, index)
            self._made = {(split, index + i): task for i, (task, _) in enumerate(made)}
            self._offered = {task.key: tools for task, tools in made}
        task = self._made[split, index]
        return replace(task, env=self.name) if self._renamed else task

    def env(self, task: Task) -> PluginEnv:
        """See `TaskSet`."""
        episode = next(self._episodes)
        return PluginEnv(self.name, self._workers[episode % len(self._workers)], episode)

    def tools(self, task: Task) -> Sequence[ToolSpec]:
        """See `TaskSet`."""
        if task.key not in self._offered:
            self._offered[task.key] = self._call("tools", task)
        return self._offered[task.key]

    def demonstrate(self, task: Task, rng: Random) -> Sequence[Message]:
        """See `TaskSet`."""
        messages: Sequence[Message] = self._call("demonstrate", task, rng)
        return messages

    def _asked(self, method: str, *args: Any) -> Any:
        """A call of the set itself. It is asked again, once, where its process was killed: the answer is the same."""
        try:
            return self._workers[0].call(method, *args, seconds=SECONDS)
        except EndedError:
            return self._workers[0].call(method, *args, seconds=SECONDS)

    def _call(self, method: str, *args: Any) -> Any:
        try:
            return self._asked(method, *args)
        except CallError as error:
            raise CallError(f"{self.name}: {method.removesuffix('s')} raised {error}") from None
        except OverrunError as error:
            raise OverrunError(f"{self.name}: {method}: {error}") from None


class PluginEnv:
    """One episode in a worker. Where its worker is replaced, the episode fails."""

    def __init__(self, name: str, worker: Served, episode: int) -> None:
        self.name = name
        self._worker = worker
        self._episode = episode
        self._tools: list[ToolSpec] = []

    def tools(self) -> list[ToolSpec]:
        """What the environment offered when it was reset."""
        return self._tools

    async def reset(self, task: Task) -> list[Message]:
        """See `Env`."""
        messages, self._tools = await self._ask("reset", task)
        return list(messages)

    async def step(self, action: Message) -> Step:
        """See `Env`."""
        step: Step = await self._ask("step", action)
        return step

    async def close(self) -> None:
        """See `Env`."""
        await self._ask("close")

    async def _ask(self, method: str, *args: Any) -> Any:
        try:
            return await self._worker.ask(method, self._episode, *args)
        except CallError as error:
            raise EnvError(f"{self.name}: {method} raised {error}") from None
        except EnvError as error:
            raise EnvError(f"{self.name}: {error}") from None
