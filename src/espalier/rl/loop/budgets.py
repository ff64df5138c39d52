"""The inference-scaling probe of T1 (Hou et al., arXiv 2501.11651): how right answers are when the thought is cut.

The thoughts of an evaluation are cut at budgets in tokens. An answerer sees the cut thought and writes the answer. Over
checkpoints of a run, the slope of accuracy over budget says whether the policy learns to use more thought.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.rollout.attempts import Attempts
from espalier.rl.rollout.forcing import Forcing
from espalier.rl.rollout.replay import Fork
from espalier.rl.trajectory import Trajectory


@dataclass(frozen=True, slots=True)
class CutFork(Fork):
    """Begin as `row` does, up to the token `at`, and go on with the tokens `ids`. Nothing of it is trained."""

    ids: Sequence[int] = ()

    def begin(self, member: int) -> Trajectory:
        """See `Fork`."""
        row = self.row.fork(self.at, member)
        row.insert(self.ids)
        return row


class Budgets:
    """Measures the accuracy of cut thoughts of finished groups."""

    def __init__(self, attempts: Attempts, forcing: Forcing, budgets: Sequence[int], *, correct_above: float) -> None:
        """attempts: of the answerer. forcing: how the answer begins. budgets: in tokens of a thought."""
        self._attempts = attempts
        self._forcing = forcing
        self._budgets = sorted(set(budgets))
        self._correct_above = correct_above

    async def __call__(self, groups: Sequence[ScoredGroup]) -> dict[str, float]:
        """`budget/B`, the accuracy with thoughts of at most B tokens, and `budget/slope`: the gain from twice the
        budget, by least squares over the budgets above 0.
        """
        thoughts = [[self._thought(row) for row in group.rows] for group in groups]
        found = {budget: await self._accuracy(groups, thoughts, budget) for budget in self._budgets}
        figures = {f"budget/{budget}": accuracy for budget, accuracy in found.items()}
        positive = [budget for budget in self._budgets if budget]
        if len(positive) > 1:
            slope = np.polyfit([math.log2(budget) for budget in positive], [found[b] for b in positive], 1)[0]
            figures["budget/slope"] = float(slope)
        return figures

    async def _accuracy(self, groups: Sequence[ScoredGroup], thoughts: Sequence[Sequence[range]], budget: int) -> float:
        right = await asyncio.gather(*(self._right(*one, budget) for one in zip(groups, thoughts, strict=True)))
        total = sum(len(group.rows) for group in groups)
        return sum(right) / total if total else 0.0

    async def _right(self, group: ScoredGroup, thoughts: Sequence[range], budget: int) -> int:
        """How many rows of the group are right with thoughts of `budget` tokens."""
        played = ScoredGroup(group.index, group.task)
        rows = zip(group.rows, group.episodes, thoughts, strict=True)
        forks = {
            len(group.rows) + row.member: CutFork(
                row, episode.messages, min(thought.start + budget, thought.stop), ids=self._forcing.ids
            )
            for row, episode, thought in rows
        }
        await self._attempts.score(played, await self._attempts.run(played, forks))
        return sum(row.is_right(self._correct_above) for row in played.rows)

    def _thought(self, row: Trajectory) -> range:
        """Where the thought of the last turn stands among the tokens; empty at their end where nothing was sampled."""
        if not row.policy_turns:
            return range(len(row.tokens), len(row.tokens))
        turn = row.policy_turns[-1]
        return range(turn.start, turn.start + self._forcing.thought(row.tokens[turn.start : turn.end]))
