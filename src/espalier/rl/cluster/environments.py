"""Processes of environments on the machines of a Ray cluster.

An actor there starts a worker of its own machine, which is ended where a call passes its deadline; the actor lives on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import ray
from ray.exceptions import GetTimeoutError, RayActorError

from espalier.envs.workers.deadline import DeadlineError, deadline_seconds, unhurried, within
from espalier.envs.workers.process import EndedError, OverrunError
from espalier.envs.workers.worker import START_SECONDS, Worker
from espalier.rl.cluster.ray import RayCluster, answered, brief, cause_of


class WorkerActor:
    """Runs in the actor's process."""

    def __init__(self, make: Callable[..., Any], args: tuple[Any, ...]) -> None:
        self._worker = Worker(make, *args)

    async def ready(self) -> None:
        """Returns once the object is made."""
        await asyncio.get_running_loop().run_in_executor(None, self._worker.ready)

    async def call(self, method: str, args: tuple[Any, ...], seconds: float) -> Any:
        """See `Worker.call`."""
        work = partial(self._worker.call, method, *args, seconds=seconds)
        return await asyncio.get_running_loop().run_in_executor(None, work)

    async def ask(self, method: str, args: tuple[Any, ...], seconds: float | None) -> Any:
        """See `Worker.ask`. seconds: its deadline, which does not count the wait for the worker."""
        if seconds is None:
            return await self._worker.ask(method, *args)
        try:
            return await within(seconds, self._worker.ask(method, *args))
        except DeadlineError as error:
            raise OverrunError(f"it {error}") from None


class RayWorker:
    """Implements `espalier.envs.workers.worker.Served`: a `Worker` on a machine of the cluster.

    The actor starts with the first call, and again where it has died.
    """

    def __init__(self, cluster: RayCluster, index: int, make: Callable[..., Any], *args: Any) -> None:
        self._start = partial(cluster.start, WorkerActor, "environment", index, make, args)
        self._cluster = cluster
        self._actor: Any = None

    def call(self, method: str, *args: Any, seconds: float) -> Any:
        """See `Worker.call`."""
        actor = self._running()
        try:
            ray.get(actor.ready.remote(), timeout=START_SECONDS)
            return ray.get(actor.call.remote(method, args, seconds), timeout=seconds + START_SECONDS)
        except GetTimeoutError:
            raise OverrunError(f"it took longer than {seconds:g} s") from None
        except RayActorError as error:
            raise self._lost(actor, brief(error)) from None
        except ray.exceptions.RayTaskError as error:
            raise cause_of(error) from None

    async def ask(self, method: str, *args: Any) -> Any:
        """See `Worker.ask`."""
        actor, seconds = self._running(), deadline_seconds()
        try:
            with unhurried():  # the actor has the deadline
                async with asyncio.timeout(START_SECONDS):
                    await answered(actor.ready.remote())
                return await answered(actor.ask.remote(method, args, seconds))
        except TimeoutError:
            raise self._lost(actor, f"it did not start within {START_SECONDS:g} s") from None
        except RayActorError as error:
            raise self._lost(actor, brief(error)) from None

    def close(self) -> None:
        """End the actor; the next call starts another."""
        if self._actor is not None:
            self._cluster.stop(self._actor)
            self._actor = None

    def _running(self) -> Any:
        if self._actor is None:
            self._actor = self._start()
        return self._actor

    def _lost(self, actor: Any, why: str) -> EndedError:
        """Forget the actor, once; many calls of it fail at a time, and another has perhaps been started since."""
        if self._actor is actor:
            self.close()
        return EndedError(f"the actor of the environment died: {why}")
