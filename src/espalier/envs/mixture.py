"""Several task sets as one, in fixed shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

from espalier.core.errors import ConfigError
from espalier.core.messages import Message, ToolSpec
from espalier.envs.api import Env, Split, Task, TaskSet, guess_rate

PERIOD = 1000
"""Indices after which the sequence of sets repeats; shares are exact to one in as many."""


class Mixture:
    """Index -> task of one of the sets, interleaved so that any stretch of indices has the shares of `weights`.

    A task's `env` is the name of its set. Raises ConfigError where two sets have one name.
    """

    name = "mixture"

    def __init__(self, sets: Sequence[TaskSet], weights: Sequence[float]) -> None:
        self._members = list(sets)
        self.sets: Mapping[str, TaskSet] = {tasks.name: tasks for tasks in sets}
        """By name."""
        if len(self.sets) < len(sets):
            names = [tasks.name for tasks in sets]
            twice = next(name for name in names if names.count(name) > 1)
            raise ConfigError(f"two task sets are called {twice!r}: give one of them another `name`")
        self._cycle = interleave(weights)
        self._ranks = [self._cycle[:place].count(member) for place, member in enumerate(self._cycle)]

    @property
    def guess_rate(self) -> float:
        """See `Guessable`: the mean of the sets', each by its share of the tasks."""
        return sum(self._cycle.count(i) * guess_rate(member) for i, member in enumerate(self._members)) / PERIOD

    def task(self, split: Split, index: int) -> Task:
        """See `TaskSet`."""
        cycle, place = divmod(index, PERIOD)
        member = self._cycle[place]
        inner = cycle * self._cycle.count(member) + self._ranks[place]
        return self._members[member].task(split, inner)

    def env(self, task: Task) -> Env:
        """See `TaskSet`."""
        return self.sets[task.env].env(task)

    def tools(self, task: Task) -> Sequence[ToolSpec]:
        """See `TaskSet`."""
        return self.sets[task.env].tools(task)

    def demonstrate(self, task: Task, rng: Random) -> Sequence[Message]:
        """See `TaskSet`."""
        return self.sets[task.env].demonstrate(task, rng)


def sets_of(tasks: TaskSet) -> Mapping[str, TaskSet]:
    """The sets of a mixture by name, or the one that it is."""
    return tasks.sets if isinstance(tasks, Mixture) else {tasks.name: tasks}


def interleave(weights: Sequence[float]) -> list[int]:
    """`PERIOD` members, each as often as its weight says and spread evenly: always the one most behind comes next."""
    total = sum(weights)
    behind = [0.0] * len(weights)
    cycle = []
    for _ in range(PERIOD):
        behind = [lag + weight / total for lag, weight in zip(behind, weights, strict=True)]
        chosen = max(range(len(weights)), key=lambda i: behind[i])
        behind[chosen] -= 1.0
        cycle.append(chosen)
    if missing := [i for i in range(len(weights)) if i not in cycle]:
        raise ConfigError(f"tasks.{missing[0]}.weight is less than one in {PERIOD} of the mixture: raise it")
    return cycle
