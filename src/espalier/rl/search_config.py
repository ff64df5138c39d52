"""The config of a comparison of searches. Imports without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from espalier.rl.eval_config import EvalConfig
from espalier.rl.rollout.tree.config import TreeConfig


class SearchConfig(EvalConfig):
    """Tree searches against independent attempts at equal generated tokens: job `rl.search`. Nothing is trained.

    `evaluation.tasks` is the number of prompts.
    """

    methods: Annotated[Mapping[str, TreeConfig], Field(min_length=1)] = {
        "eptree": TreeConfig(),
        "random": TreeConfig(places="random"),
    }
    """The searches by name."""
    chains: int = Field(default=64, ge=2)
    """Independent attempts at each prompt. The job ends with an error if they generate fewer tokens in the mean than a
    search: raise it then."""
