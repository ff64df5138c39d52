"""The environment's own reward."""

from __future__ import annotations

from typing import Literal

from espalier.core.errors import EnvError
from espalier.envs.api import Episode
from espalier.rewards.component import ComponentConfig


class EnvRewardConfig(ComponentConfig):
    """The sum of the environment's step rewards."""

    kind: Literal["env"] = "env"
    """The reward."""


def environment(episode: Episode) -> float:
    """0.0 where a limit ended the episode before any reward. Raises EnvError where the environment does not judge."""
    if episode.env_reward is None and episode.unfinished:
        return 0.0
    if episode.env_reward is None:
        raise EnvError(
            f"{episode.task.env}: the environment gives no reward of its own; put one into `rewards`, such as "
            "{kind: numeric}"
        )
    return episode.env_reward
