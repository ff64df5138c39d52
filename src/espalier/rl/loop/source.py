"""Issues tasks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from espalier.envs.api import Task, TaskSet
from espalier.rl.rollout.api import ScoredGroup


class Source(Protocol):
    """Issues training tasks, and may learn from what became of them. `cursor` is the number of tasks issued."""

    cursor: int

    def next(self) -> tuple[int, Task]:
        """The next index, which names the group, and its task."""
        ...

    def again(self, index: int) -> tuple[int, Task]:
        """`index`, whose group was interrupted, and its task."""
        ...

    def learn(self, group: ScoredGroup) -> None:
        """A group has ended; it has no rows where it failed."""
        ...

    def advance(self) -> dict[str, float]:
        """A training step is done. Returns metrics."""
        ...

    def save(self) -> dict[str, Any]:
        """The state besides `cursor`, as plain data for a checkpoint."""
        ...


class TaskSource:
    """Implements `Source`: tasks in the order of their index."""

    def __init__(self, tasks: TaskSet, cursor: int = 0) -> None:
        self._tasks = tasks
        self.cursor = cursor

    def next(self) -> tuple[int, Task]:
        """See `Source`."""
        self.cursor += 1
        return self.again(self.cursor - 1)

    def again(self, index: int) -> tuple[int, Task]:
        """See `Source`."""
        return index, self._tasks.task("train", index)

    def learn(self, group: ScoredGroup) -> None:
        """See `Source`: nothing."""

    def advance(self) -> dict[str, float]:
        """See `Source`: none."""
        return {}

    def save(self) -> dict[str, Any]:
        """See `Source`: none."""
        return {}


def heldout(tasks: TaskSet, count: int) -> Iterator[Task]:
    """The first `count` distinct held-out tasks; fewer where the set keeps returning the ones already given."""
    seen: set[str] = set()
    for index in range(4 * count):
        task = tasks.task("heldout", index)
        if task.key not in seen:
            seen.add(task.key)
            yield task
        if len(seen) == count:
            return
