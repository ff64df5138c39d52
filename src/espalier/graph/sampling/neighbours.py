"""Uniform neighbour sampling (GraphSAGE), without pyg-lib or torch-sparse."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from espalier.core.seed import derive, np_rng
from espalier.graph.data.graph import Graph
from espalier.graph.ops.csr import CSR, SparseMatrix
from espalier.graph.ops.features import take_rows
from espalier.graph.ops.library import count, index_kernels, pointer


@dataclass(frozen=True)
class Neighbours:
    """Mini-batches around `size` nodes at a time, with up to fanouts[l] neighbours of each node at distance l.

    A batch is a `Graph` whose first nodes are the targets; its edges go from sampled neighbours to the nodes that
    sampled them. Source: Hamilton et al. 2017, alg. 2.
    """

    graph: Graph
    size: int
    fanouts: tuple[int, ...] = (10, 10)

    @property
    def steps(self) -> int:
        """Mini-batches in an epoch."""
        return -(-self.graph.n_nodes // self.size)

    @property
    def n_features(self) -> int:
        """Width of the features."""
        return self.graph.n_features

    def epoch(self, number: int, seed: int) -> Iterator[Graph]:
        """Every node once, in random order."""
        order = torch.from_numpy(np_rng(seed, "neighbours", number).permutation(self.graph.n_nodes))
        for step, part in enumerate(order.split(self.size)):
            yield self.around(part, derive(seed, "neighbours", number, step))

    def around(self, targets: Tensor, seed: int) -> Graph:
        """The sampled neighbourhood of distinct `targets` (k,) int64."""
        graph = self.graph
        nodes, adj = sample(graph.adj, targets, self.fanouts, seed)
        x = take_rows(graph.x, nodes)
        y = None if graph.y is None else graph.y[nodes]
        splits = {name: mask[nodes] for name, mask in graph.splits.items()}
        x = x if isinstance(x, SparseMatrix) else x.float()
        return Graph(adj, x, y, splits, targets=torch.arange(targets.numel()), name=graph.name)


def sample(csr: CSR, targets: Tensor, fanouts: Sequence[int], seed: int) -> tuple[Tensor, CSR]:
    """(n,) the sampled nodes, targets first, and the sampled graph among them."""
    nodes, rows, columns = targets, [], []
    frontier = targets
    for level, fanout in enumerate(fanouts):
        drawn = draw(csr, frontier, fanout, derive(seed, level))
        real = drawn >= 0
        rows.append(frontier.repeat_interleave(real.sum(1)))
        columns.append(drawn[real].long())
        fresh = torch.unique(columns[-1])
        frontier = fresh[~torch.isin(fresh, nodes)]
        nodes = torch.cat([nodes, frontier])
    order = torch.argsort(nodes)
    place = order[torch.searchsorted(nodes[order], torch.cat([*rows, *columns]))]
    row, column = place.chunk(2)
    return nodes, CSR.from_pairs(row, column, nodes.numel(), nodes.numel())


def draw(csr: CSR, nodes: Tensor, fanout: int, seed: int) -> Tensor:
    """(k, fanout) int32 distinct neighbours of each node, drawn uniformly; all neighbours of a node with fewer; -1
    pads.
    """
    out = torch.full((nodes.numel(), fanout), -1, dtype=torch.int32)
    nodes = nodes.contiguous()
    if kernels := index_kernels(csr.indptr, csr.indices, nodes):
        counts = torch.empty(nodes.numel(), dtype=torch.int64)
        given = (count(nodes.numel()), *map(pointer, (nodes, csr.indptr, csr.indices)))
        kernels.sample_neighbours(
            torch.get_num_threads(), *given, count(fanout), ctypes.c_uint64(seed), pointer(out), pointer(counts)
        )
        return out
    rng = np.random.default_rng(seed)
    for row, node in enumerate(nodes.tolist()):
        own = csr.indices[csr.indptr[node] : csr.indptr[node + 1]]
        kept = own if own.numel() <= fanout else own[torch.from_numpy(rng.permutation(own.numel())[:fanout])]
        out[row, : kept.numel()] = kept
    return out
