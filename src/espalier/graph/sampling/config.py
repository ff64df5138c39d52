"""The recipe section of contexts. Imports without torch."""

from __future__ import annotations

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from espalier.core.config import Config


class ContextConfig(Config):
    """The context of a node: the nodes with the largest personalised PageRank around it."""

    size: PositiveInt = 128
    """Largest number of nodes in a context, including the node itself."""
    teleport: float = Field(default=0.15, gt=0.0, lt=1.0)
    """Teleport probability of the personalised PageRank."""
    tolerance: PositiveFloat = 1e-4
    """Residual per degree below which the push stops."""
    by_degree: bool = False
    """Rank by score / degree, as local clustering does."""
    pushes: NonNegativeInt = 0
    """Largest number of pushes per node; 0 for no limit."""
    seeds_per_epoch: NonNegativeInt = 0
    """Number of nodes whose contexts make up an epoch, drawn again for each epoch; 0 for every node."""
