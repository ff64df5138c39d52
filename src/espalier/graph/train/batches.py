"""The batches of an epoch: one whole graph, or mini-batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import torch

from espalier.core.seed import np_rng
from espalier.graph.data.graph import Graph
from espalier.graph.parallel import Share


class Batches(Protocol):
    """A source of mini-batches. The order of an epoch depends only on its number and the seed."""

    @property
    def steps(self) -> int:
        """Mini-batches in an epoch."""

    @property
    def n_features(self) -> int:
        """Width of the features."""

    def epoch(self, number: int, seed: int) -> Iterator[Graph]:
        """The mini-batches of epoch `number`, counted from 0."""


@dataclass(frozen=True)
class Whole:
    """One graph, the whole of it in every step."""

    graph: Graph
    steps: int = 1

    @property
    def n_features(self) -> int:
        """Width of the features."""
        return self.graph.n_features

    def epoch(self, number: int, seed: int) -> Iterator[Graph]:
        """The graph."""
        yield self.graph.single


@dataclass(frozen=True)
class Members:
    """The graphs of a set, `size` at a time, in a new order each epoch."""

    graphs: Graph
    size: int
    share: Share = field(default_factory=Share)

    @property
    def steps(self) -> int:
        """Mini-batches in an epoch, the last of which may be smaller."""
        return -(-(self.graphs.n_graphs // self.share.of) // self.share.size(self.size))

    @property
    def n_features(self) -> int:
        """Width of the features."""
        return self.graphs.n_features

    def epoch(self, number: int, seed: int) -> Iterator[Graph]:
        """Each graph once."""
        order = torch.from_numpy(np_rng(seed, "order", number).permutation(self.graphs.n_graphs))
        for part in self.share.take(order).split(self.share.size(self.size)):
            yield self.graphs.select(part)
