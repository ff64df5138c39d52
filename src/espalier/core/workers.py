"""Independent tasks on several processes."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

PATIENCE_S = 0.5
"""Between two looks at whether to stop."""
_DIE_WITH_PARENT = 1
"""PR_SET_PDEATHSIG of Linux's prctl."""
Task = TypeVar("Task")
Result = TypeVar("Result")


def die_with_parent() -> None:
    """Have the system kill this process when the one that started it ends. Linux only; elsewhere nothing happens."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)


def module_path() -> str:
    """Where this process finds modules, as another may be told in PYTHONPATH."""
    return os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)


def start_child(module: str, end: int, **environment: str) -> subprocess.Popen[bytes]:
    """Start `python -m module END` with this process's module path; it inherits the file descriptor `end`.

    The module calls `begin_child`. environment: variables that it gets besides those of this process.
    """
    return subprocess.Popen(
        [sys.executable, "-P", "-m", module, str(end)],
        stdin=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": module_path(), **environment},
        pass_fds=[end],
        process_group=0,  # Ctrl-C is the parent's
    )


def begin_child() -> int:
    """Called first by a process that `start_child` started; returns the descriptor.

    Ctrl-C is left to the parent, the process ends with it, and what libraries print goes to standard error.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()  # also where a call holds the interpreter
    os.dup2(2, 1)
    return int(sys.argv[1])


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
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=begin)
    try:
        yield from _pooled(pool, tasks, one, workers, stopped)
    except BaseException:  # Ctrl-C for the second time, or what a task raised: nobody waits for the others
        mine = list(pool._processes.values())
        pool.shutdown(wait=False, cancel_futures=True)
        for process in mine:
            process.terminate()
        raise
    pool.shutdown()


def _pooled(
    pool: ProcessPoolExecutor,
    tasks: Sequence[Task],
    one: Callable[[Task], Result],
    workers: int,
    stopped: Callable[[], bool],
) -> Iterator[tuple[Task, Result]]:
    rest, running = iter(tasks), dict[Future[Result], Task]()
    while True:
        if stopped():
            running = {future: task for future, task in running.items() if not future.cancel()}
        else:
            for task in islice(rest, 2 * workers - len(running)):
                running[pool.submit(one, task)] = task
        if not running:
            return
        for future in wait(running, timeout=PATIENCE_S, return_when=FIRST_COMPLETED).done:
            yield running.pop(future), future.result()
