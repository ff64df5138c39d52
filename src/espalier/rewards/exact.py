"""Exact match with the reference answer."""

from __future__ import annotations

from typing import Literal

from espalier.envs.api import Episode
from espalier.rewards.component import ComponentConfig, reference


class ExactConfig(ComponentConfig):
    """1 where the response, or what follows its last `marker`, is the reference answer."""

    kind: Literal["exact"] = "exact"
    """The reward."""
    marker: str = ""
    """Text after whose last occurrence the answer stands; a response without it is wrong. Empty: the whole response."""
    ignore_case: bool = False
    """Compare without regard to case."""


def exact(config: ExactConfig, episode: Episode) -> float:
    """Runs of white space count as one space; at the ends they do not count."""
    _, mark, answer = episode.response.rpartition(config.marker) if config.marker else ("", "x", episode.response)
    if not mark:
        return 0.0
    return float(_plain(answer, config) == _plain(reference(episode, "exact"), config))


def _plain(text: str, config: ExactConfig) -> str:
    joined = " ".join(text.split())
    return joined.casefold() if config.ignore_case else joined
