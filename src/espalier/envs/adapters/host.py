"""The user's task set as a worker holds it: its environments live here, one for each episode under way."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from random import Random
from typing import Any, TypeVar

from espalier.core.errors import ConfigError, EnvError, NoDemonstrationsError
from espalier.core.messages import Message, ToolSpec
from espalier.core.plugins import imported
from espalier.envs.api import Env, Split, Step, Task, TaskSet, guess_rate

T = TypeVar("T")
AHEAD = 64
"""Tasks that are made at once at most: they are asked for one after another."""
AHEAD_SECONDS = 0.02
"""Time that is spent on those that nobody asked for yet."""
MEMBERS = ("name", "task", "env")
"""What a task set must have; without `tools` it offers none, without `demonstrate` it cannot warm a model up."""


class Host:
    """Calls `factory(seed=..., **options)`, and what it returned. Raises ConfigError saying what about it is wrong."""

    def __init__(self, factory: str, seed: int, options: Mapping[str, Any]) -> None:
        make = imported(factory)
        tasks = make(**({"seed": seed} if _takes_seed(make) else {}), **options)
        if missing := [name for name in MEMBERS if not hasattr(tasks, name)]:
            raise ConfigError(
                f"{factory} returned {type(tasks).__name__}, which is no TaskSet: it lacks {', '.join(missing)}"
            )
        self._tasks: TaskSet = tasks
        self._envs: dict[int, Env] = {}

    def name(self) -> str:
        """The set's name."""
        return str(self._tasks.name)

    def guess_rate(self) -> float:
        """See `Guessable`."""
        rate = float(guess_rate(self._tasks))
        if not 0.0 <= rate <= 1.0:
            raise ConfigError(f"{self._tasks.name}: guess_rate is {rate}, which is no probability")
        return rate

    def tasks(self, split: Split, start: int) -> list[tuple[Task, Sequence[ToolSpec]]]:
        """Task `start` and its tools, and those after it that are made in no time."""
        until = time.monotonic() + AHEAD_SECONDS
        made = [self._task(split, start)]
        with suppress(Exception):  # whoever asks for that one will be told
            while len(made) < AHEAD and time.monotonic() < until:
                made.append(self._task(split, start + len(made)))
        return made

    def tools(self, task: Task) -> Sequence[ToolSpec]:
        """See `TaskSet`."""
        return tuple(self._tasks.tools(task)) if hasattr(self._tasks, "tools") else ()

    def _task(self, split: Split, index: int) -> tuple[Task, Sequence[ToolSpec]]:
        task = _of_type(self._tasks.task(split, index), Task, "task")
        return task, self.tools(task)

    def demonstrate(self, task: Task, rng: Random) -> list[Message]:
        """See `TaskSet`."""
        if not hasattr(self._tasks, "demonstrate"):
            raise NoDemonstrationsError(
                f"{self._tasks.name} has no demonstrations: its class lacks demonstrate(task, rng)"
            )
        return _messages(self._tasks.demonstrate(task, rng), "demonstrate")

    async def reset(self, episode: int, task: Task) -> tuple[list[Message], list[ToolSpec]]:
        """Begin an episode: the opening messages, and the environment's tools."""
        self._envs[episode] = env = self._tasks.env(task)
        messages = _messages(await env.reset(task), "reset")
        return messages, list(env.tools()) if hasattr(env, "tools") else []

    async def step(self, episode: int, action: Message) -> Step:
        """The environment's answer."""
        if episode not in self._envs:
            raise EnvError("the process that held this episode was replaced, because a call in it passed its deadline")
        step = _of_type(await self._envs[episode].step(action), Step, "step")
        reward = None if step.reward is None else float(step.reward)
        if reward is not None and not math.isfinite(reward):
            raise EnvError(f"step gave the reward {reward}, which is not finite")
        info = {str(name): float(value) for name, value in step.info.items()}
        return Step(tuple(_messages(step.messages, "step")), reward, bool(step.done), info)

    async def close(self, episode: int) -> None:
        """Free what the episode held."""
        if (env := self._envs.pop(episode, None)) is not None and hasattr(env, "close"):
            await env.close()


def _takes_seed(make: Callable[..., Any]) -> bool:
    parameters = inspect.signature(make).parameters
    return "seed" in parameters or any(p.kind == p.VAR_KEYWORD for p in parameters.values())


def _messages(found: Any, what: str) -> list[Message]:
    if isinstance(found, (str, Message)):
        raise EnvError(f"{what} gave {type(found).__name__}, not a list of messages")
    return [_of_type(message, Message, f"a message of {what}") for message in found]


def _of_type(value: Any, kind: type[T], what: str) -> T:
    if not isinstance(value, kind):
        raise EnvError(f"{what} gave {type(value).__name__}, not {kind.__name__}")
    return value
