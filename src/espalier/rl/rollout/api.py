"""What the loop knows of rollouts: players, and the scored groups that they bring."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from espalier.envs.api import Episode, Task
from espalier.rl.trajectory import Trajectory
from espalier.rl.unit import Kind, Unit


@dataclass(slots=True)
class ScoredGroup:
    """Attempts at one task: rows and their episodes, and what they took.

    least: rows without which it is of no use. errors: one for each attempt that failed, of which `repaired` were played
    again. wasted: tokens that failed attempts sampled. kind: what the rows are to each other.
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

    @property
    def unit(self) -> Unit:
        """The rows for the learner."""
        return Unit(self.rows, self.kind)

    @property
    def usable(self) -> bool:
        """Whether enough members are left."""
        return len(self.rows) >= self.least

    @property
    def informative(self) -> bool:
        """Whether the members' rewards differ at all (exact comparison: equal rewards give zero advantage)."""
        return len({row.reward for row in self.rows}) > 1


class Player(Protocol):
    """Plays tasks with a policy: independent attempts, a tree search, or whatever else ends in scored rows."""

    async def play(self, index: int, task: Task, members: int | None = None) -> ScoredGroup:
        """Play group `index`: `members` attempts at `task` (as many as configured unless given), scored.

        Equal calls give equal groups. Failed attempts are repaired or left out, and never raise.
        """
        ...
