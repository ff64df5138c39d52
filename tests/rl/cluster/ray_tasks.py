"""A task set of a user's own, for tests: what it says names the process in which it ran."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from random import Random

from espalier.core.messages import Message, ToolSpec
from espalier.envs.api import Split, Step, Task


class Echo:
    """Digits to repeat."""

    name = "echo"

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def task(self, split: Split, index: int) -> Task:
        digit = Random(f"{self.seed} {split} {index}").randrange(10)
        return Task("echo", f"{split} {index}", {"digit": digit, "answer": str(digit)}, split)

    def env(self, task: Task) -> Once:
        return Once(task)

    def tools(self, task: Task) -> Sequence[ToolSpec]:
        return ()

    def demonstrate(self, task: Task, rng: Random) -> Sequence[Message]:
        return [Message("user", f"{task.data['digit']}="), Message("assistant", f"{task.data['digit']}#")]


class Once:
    """One turn."""

    name = "echo"

    def __init__(self, task: Task) -> None:
        self._task = task

    def tools(self) -> list[ToolSpec]:
        return []

    async def reset(self, task: Task) -> list[Message]:
        return [Message("user", f"{task.data['digit']}=")]

    async def step(self, action: Message) -> Step:
        right = action.content.startswith(str(self._task.data["digit"]))
        return Step((), float(right), True, {"pid": float(os.getpid())})

    async def close(self) -> None:
        pass


class Slow:
    """What the worker of the test holds."""

    def pid(self) -> int:
        return os.getpid()

    async def wait(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def block(self, seconds: float) -> float:
        time.sleep(seconds)
        return seconds
