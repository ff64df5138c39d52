"""Demonstrations by a task set's oracle, as rows for the learner: supervised fine-tuning and the warm start."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from espalier.core.errors import EnvError
from espalier.core.seed import rng
from espalier.envs.api import Task, TaskSet
from espalier.lm.chat import Renderer
from espalier.rl.trajectory import Group, Status, Trajectory


class Demonstrations:
    """Demonstration `i` is of train task `i`: a pure function of the seed."""

    def __init__(self, tasks: TaskSet, renderer: Renderer, *, seed: int) -> None:
        self._tasks = tasks
        self._renderer = renderer
        self._seed = seed

    def row(self, index: int) -> Trajectory:
        """One demonstration. Cross entropy is on what the assistant says."""
        task = self._tasks.task("train", index)
        messages = self._tasks.demonstrate(task, rng(self._seed, "demonstration", index))
        row = Trajectory(task.env, task.key, group=index, status=Status.DONE)
        weights: list[float] = []
        for ids, spoken in self._renderer.demonstration(messages, self._tasks.tools(task)):
            row.observe(ids, "assistant" if spoken else "prompt")
            weights += [float(spoken)] * len(ids)
        row.weights = {"ce": weights}
        return row

    def batch(self, start: int, count: int) -> list[Group]:
        """Demonstrations `start:start + count`, each a group of its own."""
        return [[self.row(index)] for index in range(start, start + count)]


def sample_texts(tasks: TaskSet, count: int, *, seed: int) -> Iterator[str]:
    """Texts of the first `count` train tasks, to make a tokenizer from: demonstrations, or prompts and answers."""
    for index in range(count):
        task = tasks.task("train", index)
        try:
            messages = list(tasks.demonstrate(task, rng(seed, "text", index)))
        except EnvError:
            messages = asyncio.run(tasks.env(task).reset(task))
            yield task.answer
        yield from (message.content for message in messages)


def has_oracle(tasks: TaskSet, task: Task) -> bool:
    """Whether the set can demonstrate `task`."""
    try:
        tasks.demonstrate(task, rng(0))
    except EnvError:
        return False
    return True
