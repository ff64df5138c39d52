"""The inference-scaling probe of T1 (Hou et al., arXiv 2501.11651): how right answers are when the thought is cut.

The thoughts of an evaluation are cut at budgets in tokens. An answerer sees the cut thought and writes the answer. Over
checkpoints of a run, the slope of accuracy over budget says whether the policy learns to use more thought.
"""

from __future__ import annotations

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
        if row.turns[-1].role != "assistant":  # an empty thought
            row.sample([], [], [])
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
        found = {budget: await self._accuracy(groups, budget) for budget in self._budgets}
        figures = {f"budget/{budget}": accuracy for budget, accuracy in found.items()}
        positive = [budget for budget in self._budgets if budget]
        if len(positive) > 1:
            slope = np.polyfit([math.log2(budget) for budget in positive], [found[b] for b in positive], 1)[0]
            figures["budget/slope"] = float(slope)
        return figures

    async def _accuracy(self, groups: Sequence[ScoredGroup], budget: int) -> float:
        right = total = 0
        for group in groups:
            played = ScoredGroup(group.index, group.task)
            forks = {
                len(group.rows) + row.member: CutFork(
                    row, episode.messages, self._cut(row, budget), ids=self._forcing.ids
                )
                for row, episode in zip(group.rows, group.episodes, strict=True)
            }
            await self._attempts.score(played, await self._attempts.run(played, forks))
            right += sum(row.info["verdict"] > self._correct_above for row in played.rows)
            total += len(group.rows)
        return right / total if total else 0.0

    def _cut(self, row: Trajectory, budget: int) -> int:
        """Where the thought of the last turn ends, or its first `budget` tokens."""
        turn = next(turn for turn in reversed(row.turns) if turn.role == "assistant")
        return turn.start + min(budget, self._forcing.thought(row.tokens[turn.start : turn.end]))
