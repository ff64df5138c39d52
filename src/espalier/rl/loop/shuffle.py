"""The negative control of a study: rewards that say nothing."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from espalier.rl.rollout.api import ScoredGroup


def shuffle_rewards(groups: Sequence[ScoredGroup], random: Random) -> None:
    """Shuffle the rewards of the step among its rows, trained or not."""
    rows = [row for group in groups for row in group.judged]
    rewards = [row.reward for row in rows]
    random.shuffle(rewards)
    for row, reward in zip(rows, rewards, strict=True):
        row.reward = reward
