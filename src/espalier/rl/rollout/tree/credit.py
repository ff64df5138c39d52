"""Process rewards of TreeRL: the advantage of every segment, from the rewards of the leaves below it."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.rollout.tree.config import TreeConfig
from espalier.rl.rollout.tree.nodes import ROOT, Tree
from espalier.rl.trajectory import Status, Trajectory

NOTHING = 1e-8
"""A local advantage below this counts as none in the released code."""


def segment_credit(tree: Tree, rewards: Mapping[int, float], config: TreeConfig) -> list[float]:
    """R(s) = (GA(s) + LA(s)) / sqrt(n(s)) of every segment (paper, section 3.2).

    rewards: of every leaf, by member. V(s) is the mean reward of the n(s) leaves below s; GA(s) = V(s) - V(root);
    LA(s) = V(s) - V(parent of s). `config` weights the two, and may leave out the root.
    """
    whole = fmean(rewards[member] for member in tree.paths)
    values = [fmean(rewards[member] for member in segment.leaves) for segment in tree.segments]
    found = []
    for segment, value in zip(tree.segments, values, strict=True):
        before = whole if segment.parent == ROOT else values[segment.parent]
        credit = config.global_weight * (value - whole) + config.local_weight * (value - before)
        found.append(credit / math.sqrt(len(segment.leaves)) if config.normalize else credit)
    return found


def released_credit(
    tree: Tree, rewards: Mapping[int, float], lengths: Mapping[int, int], trained: Collection[int], config: TreeConfig
) -> list[float | None]:
    """The same as the authors' code computes it, which differs from the paper; None where no leaf below is trained.

    rewards, lengths: reward and sampled tokens of every leaf, by member. A leaf's reward is compared with the mean of
    the others, and the mean of that over all tokens is subtracted. The mean of the result over the leaves below,
    divided by the square root of the `trained` ones among them before differences are taken, is GA itself. A segment
    whose LA is 0 has the credit of the segment before.
    """
    total, count = math.fsum(rewards.values()), len(rewards)
    centred = {m: reward - (total - reward) / (count - 1) if count > 1 else 0.0 for m, reward in rewards.items()}
    tokens = sum(lengths.values())
    mean = sum(lengths[m] * value for m, value in centred.items()) / tokens if tokens else 0.0

    def value(members: Sequence[int]) -> float:
        found = fmean(centred[member] - mean for member in members)
        return found / math.sqrt(sum(member in trained for member in members)) if config.normalize else found

    whole = value(list(tree.paths))
    values: list[float] = []
    found: list[float | None] = []
    for segment in tree.segments:
        if not any(leaf in trained for leaf in segment.leaves):
            values.append(0.0)
            found.append(None)
            continue
        values.append(value(segment.leaves))
        local = values[-1] - (whole if segment.parent == ROOT else values[segment.parent])
        if abs(local) < NOTHING and segment.parent != ROOT:
            found.append(found[segment.parent])
        else:
            found.append(config.global_weight * values[-1] + config.local_weight * local)
    return found


@dataclass(frozen=True, slots=True)
class TreeCredit:
    """Gives the rows of a searched group their advantages. overlong: with `released_code`, whether all tokens of a row
    that was cut off have the advantage -1.
    """

    config: TreeConfig
    overlong: bool = True

    def __call__(self, group: ScoredGroup) -> None:
        """See the class."""
        rows = {row.member: row for row in group.judged}
        tree = Tree(group.judged)
        credit = self._credit(tree, rows, {row.member for row in group.rows})
        for row in group.rows:
            column = [0.0] * len(row.tokens)
            for index in tree.paths[row.member]:
                segment = tree.segments[index]
                for place in range(segment.start, segment.end):
                    column[place] = (credit[index] or 0.0) if row.mask[place] else 0.0
            if self.config.credit == "released_code" and self.overlong and row.status == Status.TRUNCATED:
                column = [-1.0 if sampled else 0.0 for sampled in row.mask]
            row.advantages = column

    def _credit(self, tree: Tree, rows: Mapping[int, Trajectory], trained: Collection[int]) -> Sequence[float | None]:
        rewards = {member: row.reward or 0.0 for member, row in rows.items()}
        if self.config.credit == "paper":
            return segment_credit(tree, rewards, self.config)
        lengths = {member: row.sampled for member, row in rows.items()}
        return released_credit(tree, rewards, lengths, trained, self.config)
