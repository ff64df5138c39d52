"""Issues tasks: a cursor over a task set."""

from __future__ import annotations

from collections.abc import Iterator

from espalier.envs.api import Task, TaskSet


class TaskSource:
    """Training tasks in the order of their index. `cursor`, the number of tasks issued, is the whole state."""

    def __init__(self, tasks: TaskSet, cursor: int = 0) -> None:
        self._tasks = tasks
        self.cursor = cursor

    def next(self) -> tuple[int, Task]:
        """The next index, which names the group, and its task."""
        self.cursor += 1
        return self.again(self.cursor - 1)

    def again(self, index: int) -> tuple[int, Task]:
        """`index`, which was issued before, and its task."""
        return index, self._tasks.task("train", index)


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
