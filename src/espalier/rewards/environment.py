"""The environment's own reward."""

from __future__ import annotations

from typing import Literal

from espalier.core.errors import EnvError
from espalier.envs.api import Episode
from espalier.rewards.answer import Answer
from espalier.rewards.component import ComponentConfig, place


class EnvRewardConfig(ComponentConfig):
    """The sum of the environment's step rewards; where it gives none, `answer` compares with the reference."""

    kind: Literal["env"] = "env"
    """The reward."""


_answer = Answer()


def environment(episode: Episode) -> float:
    """0.0 where a limit ended the episode before any reward. Raises EnvError where nothing judges."""
    if episode.env_reward is None and episode.unfinished:
        return 0.0
    if episode.env_reward is None:
        if episode.task.answer:
            return _answer(episode)
        raise EnvError(
            f"{place(episode)}: there is no reference answer, and the environment gives no reward of its own; put one "
            "into `rewards`, such as {kind: plugin, function: ./reward.py:score}"
        )
    return episode.env_reward
