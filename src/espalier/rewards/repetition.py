"""Repetition: the share of a response that says again what it has said."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt

from espalier.envs.api import Episode
from espalier.rewards.component import ComponentConfig


class RepetitionConfig(ComponentConfig):
    """Share of n-grams that are repeats, 0 to 1; give it a weight below 0."""

    kind: Literal["repetition"] = "repetition"
    """The reward."""
    veto: None = None
    """None, since its best value is 0; `penalties` has one."""
    n: PositiveInt = 4
    """Length of the n-grams."""
    unit: Literal["word", "character"] = "word"
    """What they are made of; characters catch loops without spaces."""


def repetition(config: RepetitionConfig, episode: Episode) -> float:
    """1 - distinct / all n-grams of the response (ours); 0 where it is shorter than two of them."""
    units = episode.response.split() if config.unit == "word" else list(episode.response)
    count = len(units) - config.n + 1
    if count < 2:
        return 0.0
    distinct = {tuple(units[i : i + config.n]) for i in range(count)}
    return 1.0 - len(distinct) / count
