"""Mini-batches that mix contexts of several graphs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from espalier.core.seed import np_rng
from espalier.graph.data.graph import Graph
from espalier.graph.ops.csr import CSR
from espalier.graph.ops.features import dense
from espalier.graph.sampling.clusters import Clusters


@dataclass(frozen=True)
class Mixture:
    """Contexts of several graphs with the same features, in proportion to `weights`, `size` per batch.

    An epoch has every node of the graph that is largest relative to its weight. Nodes of the other graphs are used in
    proportion to their weights, repeatedly if a graph is small. Source: GraphAlign, section 4.3.
    """

    graphs: tuple[Clusters, ...]
    weights: tuple[float, ...]
    size: int

    @property
    def counts(self) -> list[int]:
        """Contexts of each graph in an epoch."""
        unit = max(c.seeds / w for c, w in zip(self.graphs, self.weights, strict=True))
        return [max(round(unit * weight), 1) for weight in self.weights]

    @property
    def steps(self) -> int:
        """Mini-batches in an epoch."""
        return -(-sum(self.counts) // self.size)

    @property
    def n_features(self) -> int:
        """Width of the features."""
        return self.graphs[0].n_features

    def epoch(self, number: int, seed: int) -> Iterator[Graph]:
        """Batches of contexts of all graphs, shuffled."""
        rng = np_rng(seed, "mixture", number)
        owner = rng.permutation(np.repeat(np.arange(len(self.graphs)), self.counts))
        nodes = [
            np.concatenate([rng.permutation(c.graph.n_nodes) for _ in range(-(-k // c.graph.n_nodes))])[:k]
            for c, k in zip(self.graphs, self.counts, strict=True)
        ]
        used = [0] * len(self.graphs)
        for start in range(0, owner.size, self.size):
            part = owner[start : start + self.size]
            batches = []
            for which, clusters in enumerate(self.graphs):
                k = int((part == which).sum())
                if k:
                    chosen = nodes[which][used[which] : used[which] + k]
                    batches += list(clusters.around(torch.from_numpy(chosen)))
                    used[which] += k
            yield side_by_side(batches)


def side_by_side(graphs: Sequence[Graph]) -> Graph:
    """Batches of contexts as one batch. Labels are left out, because their classes differ between graphs."""
    nodes = [0, *accumulate(graph.n_nodes for graph in graphs)]
    edges = [0, *accumulate(graph.adj.nnz for graph in graphs)]
    parts = list(zip(graphs, nodes, edges, strict=False))
    first = torch.zeros(1, dtype=torch.int64)
    indptr = torch.cat([first, *(graph.adj.indptr[1:] + e for graph, _, e in parts)])
    indices = torch.cat([graph.adj.indices + n for graph, n, _ in parts]).to(torch.int32)
    ptr = torch.cat([first, *(_need(graph.ptr)[1:] + n for graph, n, _ in parts)])
    x, scores = torch.cat([dense(graph.x) for graph in graphs]), torch.cat([_need(graph.scores) for graph in graphs])
    return Graph(CSR(indptr, indices, nodes[-1]), x, ptr=ptr, targets=ptr[:-1], scores=scores, name="mixture")


def _need(part: Tensor | None) -> Tensor:
    assert part is not None, "batches of contexts have it"
    return part
