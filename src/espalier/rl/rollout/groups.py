"""A group: several attempts at one task by the same policy, scored and compared with each other.

A failed attempt is repaired (repeated with new noise) or left out. A group that keeps fewer members than the algorithm
needs fails as a whole.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import cycle

from espalier.core.errors import EnvError
from espalier.core.seed import derive
from espalier.engine.api import Engine, Sampling
from espalier.envs.api import Episode, Task, TaskSet
from espalier.lm.chat import Renderer
from espalier.rewards.length import soft_overlong
from espalier.rewards.rubric import Rubric
from espalier.rl.config import RolloutConfig
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.rollout.episode import play
from espalier.rl.rollout.in_flight import InFlight
from espalier.rl.rollout.notices import Notices
from espalier.rl.rollout.rounds import Rounds
from espalier.rl.rollout.session import Session
from espalier.rl.rollout.under_way import Playing, UnderWay
from espalier.rl.trajectory import Status, Trajectory


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row, its episode, and the values of the reward components that score single episodes."""

    row: Trajectory
    episode: Episode
    values: dict[str, float]


class GroupPlayer:
    """Implements `espalier.rl.rollout.api.Player`: independent attempts with one engine and one rubric.

    `seed` names the noise; equal calls give equal groups.

    `overlong`: number of tokens before `config.max_tokens` over which the reward falls (DAPO's soft overlong
    punishment); 0 for none. `least`: rows that a group of several members needs; 2 if the algorithm compares them.
    `rounds`: repeated attempts begin when all others have ended, so that the groups do not depend on how long judges
    take. `pad`: see `RolloutConfig.pad_groups`.
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
        least: int = 2,
        rounds: bool = False,
        pad: bool = False,
        seed: int,
        in_flight: InFlight | None = None,
        under_way: UnderWay | None = None,
        notices: Notices | None = None,
    ) -> None:
        self._engine = engine
        self._renderer = renderer
        self._tasks = tasks
        self._rubric = rubric
        self._config = config
        self._overlong = overlong
        self._least = least
        self._rounds = Rounds() if rounds else None
        self._pad = pad
        self._seed = seed
        self._in_flight = in_flight or InFlight(config.max_in_flight)
        self._under_way = under_way or UnderWay()
        self._notices = notices

    async def play(self, index: int, task: Task, members: int | None = None) -> ScoredGroup:
        """See `Player`."""
        count = members or self._config.samples_per_group
        least = max(self._least, count // 2 + 1) if self._pad else self._least
        played = ScoredGroup(index, task, least=min(least, count))
        self._in_flight.announce(count)
        if self._rounds:
            self._rounds.enter(count)
        try:
            async with asyncio.TaskGroup() as group:
                attempts = [group.create_task(self._member(played, member)) for member in range(count)]
        except BaseExceptionGroup as errors:  # a bug, not data: the first one tells most
            raise errors.exceptions[0] from errors
        await self._score(played, [result for attempt in attempts if (result := attempt.result()) is not None])
        if self._pad and played.usable:
            repeat_rows(played, count)
        return played

    async def _member(self, played: ScoredGroup, member: int) -> Attempt | None:
        try:
            async with self._in_flight.place():
                return await self._attempts(played, member)
        finally:
            if self._rounds:
                self._rounds.leave()

    async def _attempts(self, played: ScoredGroup, member: int) -> Attempt | None:
        for attempt in range(self._config.repairs + 1):
            with self._under_way.attempt(played.task) as playing:
                found = await self._attempt(played, member, attempt, playing)
            if found.row.status != Status.FAILED:
                return found
            played.errors.append(found.row.error or "failed")
            played.wasted += found.row.sampled
            played.repaired += attempt < self._config.repairs
        return None

    async def _attempt(self, played: ScoredGroup, member: int, attempt: int, playing: Playing) -> Attempt:
        config, task = self._config, played.task
        row = Trajectory(task.env, task.key, played.index, member)
        sampling = Sampling(
            max_tokens=config.max_tokens,
            temperature=config.temperature,
            top_p=config.top_p,
            top_k=config.top_k,
            min_p=config.min_p,
            stop=self._renderer.stop,
            seed=derive(self._seed, played.index, member, attempt),
        )
        env = self._tasks.env(task)
        name = f"{self._seed}.{played.index}.{member}.{attempt}" if config.max_turns > 1 else ""
        session = Session(self._engine, self._renderer, row, sampling, name=name)
        begin = partial(self._rounds.begin, (played.index, member)) if self._rounds else None
        episode = await play(env, task, session, config, self._notices, begin, playing)
        values: dict[str, float] = {}
        if row.status != Status.FAILED:
            try:
                with playing.at("reward"):
                    values = await self._rubric.judge(episode)
            except EnvError as error:
                row.status, row.error = Status.FAILED, str(error)
        return Attempt(row, episode, values)

    async def _score(self, played: ScoredGroup, attempts: list[Attempt]) -> None:
        """Judge the attempts as a group, and put those into `played` with what all components found."""
        episodes = [attempt.episode for attempt in attempts]
        try:
            compared = await self._rubric.compare(episodes)
        except EnvError as error:
            played.errors.append(str(error))
            played.wasted += sum(attempt.row.sampled for attempt in attempts)
            return
        for attempt, more in zip(attempts, compared, strict=True):
            self._finish(attempt.row, played.task, attempt.values | more)
        played.rows, played.episodes = [attempt.row for attempt in attempts], episodes

    def _finish(self, row: Trajectory, task: Task, values: Mapping[str, float]) -> None:
        scores = self._rubric.scores(values)
        row.rewards = dict(scores.components)
        row.info["verdict"] = scores.verdict
        if self._overlong:
            row.rewards["overlong"] = soft_overlong(row.sampled, self._config.max_tokens, self._overlong)
        row.reward = math.fsum(row.rewards.values())
        weight = self._rubric.turn_weight(task)
        for turn in row.turns:
            if turn.reward is not None:
                turn.reward *= weight


def repeat_rows(played: ScoredGroup, count: int) -> None:
    """Fill the places of the missing members up to `count` with the rows that are there, in turn.

    A repeated row has `info["repeats"]`, the member that it repeats.
    """
    missing = sorted(set(range(count)) - {row.member for row in played.rows})
    sources = list(zip(played.rows, played.episodes, strict=True))
    for member, (row, episode) in zip(missing, cycle(sources), strict=False):
        played.rows.append(replace(row, member=member, info={**row.info, "repeats": row.member}))
        played.episodes.append(episode)
