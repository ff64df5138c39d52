"""Small graphs for tests."""

from __future__ import annotations

import torch

from espalier.graph.data.graph import Graph, symmetric
from espalier.graph.ops.csr import SparseMatrix


def random_graph(n: int = 30, edges: int = 60, features: int = 12, seed: int = 0, sparse: bool = True) -> Graph:
    """A random graph with non-negative features of which most are zero, three classes and a split."""
    generator = torch.Generator().manual_seed(seed)
    ends = torch.randint(n, (2, edges), generator=generator)
    x = torch.rand(n, features, generator=generator) * (torch.rand(n, features, generator=generator) < 0.3)
    x[0] = 0.0  # a row without features
    y = torch.arange(n) % 3
    part = torch.arange(n) % 4
    splits = {"train": part < 2, "val": part == 2, "test": part == 3}
    adj = symmetric(ends[0], ends[1], n, "random")
    return Graph(adj, SparseMatrix.from_dense(x) if sparse else x, y, splits, name="random")


def with_dtype(graph: Graph, dtype: torch.dtype) -> Graph:
    """The graph with features of another precision."""
    x = graph.x.to(dtype=dtype)
    return Graph(graph.adj, x, graph.y, graph.splits, name=graph.name)
