"""The rollout protocol that the training loop uses: players, and the scored groups that they return."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from espalier.envs.api import Episode, Task
from espalier.rl.trajectory import Trajectory
from espalier.rl.unit import Kind, Unit


@dataclass(slots=True)
class ScoredGroup:
    """Attempts at one task: rows, episodes and costs.

    least: smallest number of rows with which the group can be used. errors: one for each failed attempt; `repaired` of
    these attempts were repeated. wasted: tokens that failed attempts sampled. kind: the relation of the rows to each
    other. others: scored rows of a search that are not trained. figures: metrics of how the rows were found; a step
    logs their means over its groups.
    """

    index: int
    task: Task
    rows: list[Trajectory] = field(default_factory=list)
    episodes: list[Episode] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    repaired: int = 0
    wasted: int = 0
    least: int = 1
    kind: Kind = "group"
    others: list[Trajectory] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def unit(self) -> Unit:
        """The rows for the learner."""
        return Unit(self.rows, self.kind)

    @property
    def usable(self) -> bool:
        """Whether enough members are left."""
        return len(self.rows) >= self.least

    @property
    def judged(self) -> list[Trajectory]:
        """The scored rows, trained or not."""
        return [*self.rows, *self.others]

    @property
    def searched(self) -> bool:
        """Whether rows were forked from others."""
        return any(row.origin is not None for row in self.judged)

    @property
    def informative(self) -> bool:
        """Whether the rewards of its rows differ at all (exact comparison: equal rewards give zero advantage)."""
        return len({row.reward for row in self.judged}) > 1


class Player(Protocol):
    """Runs tasks with a policy: independent attempts, a tree search, or another method that ends in scored rows."""

    async def play(self, index: int, task: Task, members: int | None = None) -> ScoredGroup:
        """Run group `index`: `members` attempts at `task` (by default as many as configured), scored.

        Equal calls give equal groups. Failed attempts are repeated or left out, and never raise. Each row has its
        episode at the same place of `episodes`, and in `info["verdict"]` the value that says whether it is right. With
        `members`, as in an evaluation, there are at most so many rows.
        """
        ...
