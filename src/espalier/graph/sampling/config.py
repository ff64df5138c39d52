"""The recipe section of contexts. Imports without torch."""

from __future__ import annotations

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from espalier.core.config import Config


class ContextConfig(Config):
    """The neighbourhood of a node: what personalised PageRank ranks highest around it."""

    size: PositiveInt = 128
    """Most nodes of a context, the node itself included."""
    teleport: float = Field(default=0.15, gt=0.0, lt=1.0)
    """Probability of going back to the node at each step."""
    tolerance: PositiveFloat = 1e-4
    """Residual per degree below which the push stops."""
    by_degree: bool = False
    """Rank by score / degree, as local clustering does."""
    pushes: NonNegativeInt = 0
    """Pushes per node at most; 0 for no limit."""
    seeds_per_epoch: NonNegativeInt = 0
    """Nodes whose contexts make an epoch, drawn anew each time; 0 for every node."""
