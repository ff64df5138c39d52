"""Independent tasks on several processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


def worked(
    tasks: Sequence[Task],
    one: Callable[[Task], Result],
    workers: int,
    stopped: Callable[[], bool],
    begin: Callable[[], None] | None = None,
) -> Iterator[tuple[Task, Result]]:
    """Each task with what `one` made of it, in the order in which they end; no more begin once `stopped` says so.

    With one worker or one task all is done here; else by fresh processes, each of which calls `begin` first, so that
    `one` and `begin` must be picklable. An exception of a task is raised when its turn comes, after which none begin.
    """
    if workers <= 1 or len(tasks) <= 1:
        for task in tasks:
            if stopped():
                return
            yield task, one(task)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=begin) as pool:
        rest, running = iter(tasks), dict[Future[Result], Task]()
        while True:
            free = 0 if stopped() else 2 * workers - len(running)
            for task in islice(rest, free):
                running[pool.submit(one, task)] = task
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
