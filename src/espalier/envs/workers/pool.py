"""Several workers of one kind, each with one call at a time."""

from __future__ import annotations

import asyncio
import os
import queue
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from espalier.envs.workers.deadline import unhurried
from espalier.envs.workers.worker import Worker

MOST = 4
"""Processes of a pool, at most, unless a config says otherwise."""


def usual_size() -> int:
    """Workers for this machine: one a core, at least two, so that one slow call does not hold up the rest."""
    return max(2, min(MOST, os.cpu_count() or 1))


class Pool:
    """Calls in the order in which they come, each by whichever worker is free, with a deadline of its own.

    What calls give must not depend on the calls before: a worker that overruns is replaced by a fresh one.
    """

    def __init__(self, make: Callable[..., Any], *args: Any, size: int | None = None) -> None:
        """`make` and `args`: see `Worker`; `size`: the number of processes, `usual_size()` unless given."""
        size = size or usual_size()
        self._workers = [Worker(make, *args) for _ in range(size)]
        self._idle: queue.LifoQueue[Worker] = queue.LifoQueue()
        for worker in reversed(self._workers):
            self._idle.put(worker)
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="pool")

    def call(self, method: str, *args: Any, seconds: float) -> Any:
        """See `Worker.call`."""
        return self._threads.submit(self._one, method, args, seconds).result()

    async def ask(self, method: str, *args: Any, seconds: float, prepare: tuple[str, float] | None = None) -> Any:
        """See `Worker.call`; the event loop goes on. The deadline around does not count the wait for a free worker.

        `prepare` names a method that the same worker is called with before, and its own deadline.
        """
        loop = asyncio.get_running_loop()
        with unhurried():
            return await loop.run_in_executor(self._threads, self._one, method, args, seconds, prepare)

    def close(self) -> None:
        """End the processes; calls start new ones."""
        for worker in self._workers:
            worker.close()

    def _one(self, method: str, args: tuple[Any, ...], seconds: float, prepare: tuple[str, float] | None = None) -> Any:
        worker = self._idle.get()  # there are as many threads as workers: one is idle
        try:
            if prepare:
                worker.call(prepare[0], *args, seconds=prepare[1])
            return worker.call(method, *args, seconds=seconds)
        finally:
            self._idle.put(worker)
