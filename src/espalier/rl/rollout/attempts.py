"""Attempts at a task: each is played, repeated if it failed, and scored. Groups and trees are made of them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from espalier.core.errors import EnvError
from espalier.core.seed import derive
from espalier.engine.api import Engine, Sampling
from espalier.envs.api import Episode, Task, TaskSet
from espalier.lm.chat import Renderer
from espalier.rewards.length import soft_overlong
from espalier.rewards.rubric import Rubric
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.rollout.config import RolloutConfig
from espalier.rl.rollout.episode import play
from espalier.rl.rollout.forcing import Forcing
from espalier.rl.rollout.in_flight import InFlight
from espalier.rl.rollout.notices import Notices
from espalier.rl.rollout.replay import Fork
from espalier.rl.rollout.rounds import Rounds
from espalier.rl.rollout.session import Session
from espalier.rl.rollout.under_way import Playing, UnderWay
from espalier.rl.trajectory import Status, Trajectory


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row, its episode, and the values of the reward components that score single episodes.

    prefilled: tokens whose KV the engine computed for its first request.
    """

    row: Trajectory
    episode: Episode
    values: dict[str, float]
    prefilled: int = 0


class Attempts:
    """Plays attempts with one engine and scores them with one rubric.

    `seed` names the noise; equal calls give equal attempts. `overlong`: number of tokens before `config.max_tokens`
    over which the reward falls (DAPO's soft overlong punishment); 0 for none. `rounds`: attempts begin when all others
    have ended or wait to begin, so that they do not depend on how long judges take.
    """

    def __init__(
        self,
        engine: Engine,
        renderer: Renderer,
        tasks: TaskSet,
        rubric: Rubric,
        config: RolloutConfig,
        *,
        overlong: int = 0,
        rounds: bool = False,
        seed: int,
        in_flight: InFlight | None = None,
        under_way: UnderWay | None = None,
        notices: Notices | None = None,
        forcing: Forcing | None = None,
    ) -> None:
        self.config = config
        self.seed = seed
        self._engine = engine
        self._renderer = renderer
        self._tasks = tasks
        self._rubric = rubric
        self._overlong = overlong
        self._rounds = Rounds() if rounds else None
        self._held = set[int]()
        """The groups that hold a place in the round, because more of their attempts may follow."""
        self._kept: dict[int, list[str]] = {}
        """Sessions of each group whose KV the engine keeps."""
        self._in_flight = in_flight or InFlight(config.max_in_flight)
        self._under_way = under_way or UnderWay()
        self._notices = notices
        self._forcing = forcing

    async def run(
        self, played: ScoredGroup, members: Mapping[int, Fork | None], *, more: bool = False
    ) -> list[Attempt]:
        """Play these members concurrently. Returns the attempts that succeeded. Failures are counted in `played`.

        A member begins with the task, or goes on from its fork. With `more`, further attempts of the group may follow:
        until `end` is called, the engine keeps the KV of their tokens, and the next round waits for the group.
        """
        self._in_flight.announce(len(members))
        if self._rounds:
            self._rounds.enter(len(members) - (played.index in self._held))
            self._held.discard(played.index)
        left = len(members)

        async def member(number: int, fork: Fork | None) -> Attempt | None:
            nonlocal left
            try:
                async with self._in_flight.place():
                    return await self._attempts(played, number, fork, more)
            finally:
                left -= 1
                self._leave(played.index, hold=more and not left)

        try:
            async with asyncio.TaskGroup() as group:
                attempts = [group.create_task(member(*one)) for one in members.items()]
        except BaseExceptionGroup as errors:  # a bug, not data: the first one tells most
            raise errors.exceptions[0] from errors
        return [result for attempt in attempts if (result := attempt.result()) is not None]

    async def end(self, index: int) -> None:
        """No further attempts of group `index` follow."""
        if index in self._held:
            self._held.remove(index)
            self._leave(index, hold=False)
        kept = self._kept.pop(index, ())
        await asyncio.gather(*(self._engine.release(name) for name in kept))

    async def score(self, played: ScoredGroup, attempts: list[Attempt]) -> None:
        """Judge the attempts as a group, and put those into `played` with what all components found."""
        episodes = [attempt.episode for attempt in attempts]
        try:
            compared = await self._rubric.compare(episodes)
        except EnvError as error:
            played.errors.append(str(error))
            played.wasted += sum(attempt.row.own for attempt in attempts)
            return
        for attempt, more in zip(attempts, compared, strict=True):
            self._finish(attempt.row, played.task, attempt.values | more)
        played.rows, played.episodes = [attempt.row for attempt in attempts], episodes

    def _leave(self, index: int, *, hold: bool) -> None:
        """An attempt of group `index` has ended. With `hold`, the group keeps its place in the round."""
        if self._rounds and hold:
            self._held.add(index)
        elif self._rounds:
            self._rounds.leave()

    async def _attempts(self, played: ScoredGroup, member: int, fork: Fork | None, more: bool) -> Attempt | None:
        for attempt in range(self.config.repairs + 1):
            with self._under_way.attempt(played.task) as playing:
                found = await self._attempt(played, member, attempt, playing, fork, more)
            if found.row.status != Status.FAILED:
                return found
            played.errors.append(found.row.error or "failed")
            played.wasted += found.row.own
            played.repaired += attempt < self.config.repairs
        return None

    async def _attempt(
        self, played: ScoredGroup, member: int, attempt: int, playing: Playing, fork: Fork | None, more: bool
    ) -> Attempt:
        config, task = self.config, played.task
        row = fork.begin(member) if fork else Trajectory(task.env, task.key, played.index, member)
        sampling = Sampling(
            max_tokens=config.max_tokens,
            temperature=config.temperature,
            top_p=config.top_p,
            top_k=config.top_k,
            min_p=config.min_p,
            stop=self._renderer.stop,
            seed=derive(self.seed, played.index, member, attempt),
        )
        env = self._tasks.env(task)
        name = f"{self.seed}.{played.index}.{member}.{attempt}" if config.max_turns > 1 else ""
        if fork or more:  # one engine of a pool plays the whole search
            name = f"{self.seed}.{played.index}/{member}.{attempt}"
        if more:
            self._kept.setdefault(played.index, []).append(name)
        session = Session(self._engine, self._renderer, row, sampling, name=name, keep=more, forcing=self._forcing)
        begin = partial(self._rounds.begin, (played.index, member)) if self._rounds else None
        episode = await play(env, task, session, config, self._notices, begin, playing, fork)
        values: dict[str, float] = {}
        if row.status != Status.FAILED:
            try:
                with playing.at("reward"):
                    values = await self._rubric.judge(episode)
            except EnvError as error:
                row.status, row.error = Status.FAILED, str(error)
        return Attempt(row, episode, values, session.prefilled or 0)

    def _finish(self, row: Trajectory, task: Task, values: Mapping[str, float]) -> None:
        scores = self._rubric.scores(values)
        row.rewards = dict(scores.components)
        row.info["verdict"] = scores.verdict
        if self._overlong:
            row.rewards["overlong"] = soft_overlong(row.sampled, self.config.max_tokens, self._overlong)
        row.reward = math.fsum(row.rewards.values())
        weight = self._rubric.turn_weight(task)
        for turn in row.turns:
            if turn.reward is not None:
                turn.reward *= weight
