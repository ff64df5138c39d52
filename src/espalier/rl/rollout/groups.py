"""A group: several attempts at one task by the same policy, scored and compared with each other.

A failed attempt is repaired (repeated with new noise) or left out. A group that keeps fewer members than the algorithm
needs fails as a whole.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import cycle

from espalier.envs.api import Task
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.rollout.attempts import Attempts


class GroupPlayer:
    """Implements `espalier.rl.rollout.api.Player`: independent attempts.

    `least`: rows that a group of several members needs; 2 if the algorithm compares them. `pad`: see
    `RolloutConfig.pad_groups`.
    """

    def __init__(self, attempts: Attempts, *, least: int = 2, pad: bool = False) -> None:
        self._attempts = attempts
        self._least = least
        self._pad = pad

    async def play(self, index: int, task: Task, members: int | None = None) -> ScoredGroup:
        """See `Player`."""
        count = members or self._attempts.config.samples_per_group
        least = max(self._least, count // 2 + 1) if self._pad else self._least
        played = ScoredGroup(index, task, least=min(least, count))
        await self._attempts.score(played, await self._attempts.run(played, dict.fromkeys(range(count))))
        if self._pad and played.usable:
            repeat_rows(played, count)
        return played


def repeat_rows(played: ScoredGroup, count: int) -> None:
    """Fill the places of the missing members up to `count` with the rows that are there, in turn.

    A repeated row has `info["repeats"]`, the member that it repeats.
    """
    missing = sorted(set(range(count)) - {row.member for row in played.rows})
    sources = list(zip(played.rows, played.episodes, strict=True))
    for member, (row, episode) in zip(missing, cycle(sources), strict=False):
        played.rows.append(replace(row, member=member, info={**row.info, "repeats": row.member}))
        played.episodes.append(episode)
