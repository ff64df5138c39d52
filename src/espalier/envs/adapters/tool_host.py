"""Tools of the user's own in a process of their own, so that nothing they do holds up the run."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from espalier.core.errors import ConfigError, EnvError
from espalier.core.messages import ToolCall, ToolSpec
from espalier.core.plugins import imported
from espalier.envs.api import Task
from espalier.envs.tools.box import Answer, Session, ToolBox
from espalier.envs.workers.process import CallError, OverrunError
from espalier.envs.workers.worker import Worker

START_SECONDS = 60.0
"""Longest import of the tools' files."""


class ToolHost:
    """The tools as a worker holds them, and the sessions of episodes under way."""

    def __init__(self, names: Sequence[str], seconds: float) -> None:
        self._box = ToolBox([imported(name) for name in names], seconds=seconds)
        self._sessions: dict[int, Session] = {}

    def specs(self) -> tuple[ToolSpec, ...]:
        """What the model is offered."""
        return self._box.specs

    async def answer(self, episode: int, task: Task, call: ToolCall, first: bool) -> Answer:
        """Answer a call; the `first` of an episode makes its session."""
        if first:
            self._sessions[episode] = self._box.open(task)
        if episode not in self._sessions:
            raise EnvError("the process that held the tools was replaced, because a call in it passed its deadline")
        return await self._sessions[episode].answer(call)

    async def close(self, episode: int) -> None:
        """End a session."""
        if session := self._sessions.pop(episode, None):
            await session.close()


class RemoteTools:
    """See `Tools`. Raises ConfigError where a function is not there or cannot be a tool."""

    def __init__(self, names: Sequence[str], *, seconds: float) -> None:
        self._worker = Worker(ToolHost, tuple(names), seconds)
        self._episodes = itertools.count()
        try:
            self.specs: tuple[ToolSpec, ...] = self._worker.call("specs", seconds=START_SECONDS)
        except (CallError, OverrunError) as error:
            raise ConfigError(f"tools {', '.join(names)}: {error}") from None

    def open(self, task: Task) -> RemoteSession:
        """See `Tools`."""
        return RemoteSession(self._worker, next(self._episodes), task)


class RemoteSession:
    """See `Session`. It begins in the worker with the first call."""

    def __init__(self, worker: Worker, episode: int, task: Task) -> None:
        self._worker = worker
        self._episode = episode
        self._task = task
        self._begun = False

    async def answer(self, call: ToolCall) -> Answer:
        """See `Session`."""
        first, self._begun = not self._begun, True
        found: Answer = await self._worker.ask("answer", self._episode, self._task, call, first)
        return found

    async def close(self) -> None:
        """See `Session`."""
        if self._begun:
            await self._worker.ask("close", self._episode)
