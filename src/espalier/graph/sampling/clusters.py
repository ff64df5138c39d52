"""Mini-batches of one graph: the induced subgraphs of contexts of some nodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from espalier.core.seed import np_rng
from espalier.graph.data.graph import Graph
from espalier.graph.ops.csr import CSR, SparseMatrix
from espalier.graph.ops.features import take_rows
from espalier.graph.ops.library import count, index_kernels, pointer
from espalier.graph.parallel import Share
from espalier.graph.sampling.config import ContextConfig
from espalier.graph.sampling.ppr import Contexts, ppr

AHEAD = 4096
"""Number of nodes whose contexts are computed in one call. Its working memory is proportional to the graph's size."""


@dataclass(frozen=True)
class Clusters:
    """The contexts of the graph's nodes, `size` at a time. Works on graphs in memory and on memory-mapped ones.

    A batch is a `Graph` whose members are contexts, with the node itself first; `targets` are the indices of these
    nodes.
    """

    graph: Graph
    size: int
    context: ContextConfig = field(default_factory=ContextConfig)
    share: Share = field(default_factory=Share)
    _scratch: list[Tensor] = field(default_factory=list, repr=False)

    @property
    def seeds(self) -> int:
        """Nodes in an epoch, over all processes."""
        return min(self.context.seeds_per_epoch or self.graph.n_nodes, self.graph.n_nodes)

    @property
    def steps(self) -> int:
        """Mini-batches in an epoch."""
        return -(-(self.seeds // self.share.of) // self.share.size(self.size))

    @property
    def n_features(self) -> int:
        """Width of the features."""
        return self.graph.n_features

    def epoch(self, number: int, seed: int) -> Iterator[Graph]:
        """Contexts of nodes in random order, each at most once."""
        rng, n = np_rng(seed, "clusters", number), self.graph.n_nodes
        few = self.seeds * 8 < n
        nodes = np.unique(rng.integers(n, size=2 * self.seeds)) if few else np.arange(n)
        order = torch.from_numpy(rng.permutation(nodes)[: self.seeds])
        yield from self.around(self.share.take(order))

    def around(self, nodes: Tensor) -> Iterator[Graph]:
        """The contexts of `nodes` (k,) int64, in that order."""
        config, size = self.context, self.share.size(self.size)
        for part in nodes.split(max(AHEAD // size, 1) * size):
            contexts = ppr(
                self.graph.adj,
                part,
                teleport=config.teleport,
                tolerance=config.tolerance,
                keep=config.size,
                by_degree=config.by_degree,
                limit=config.pushes,
            )
            for start in range(0, part.numel(), size):
                rows = slice(start, start + size)
                yield self._cut(Contexts(contexts.nodes[rows], contexts.scores[rows], contexts.counts[rows]))

    def _cut(self, contexts: Contexts) -> Graph:
        graph = self.graph
        real = contexts.nodes >= 0
        nodes, scores = contexts.nodes[real].long(), contexts.scores[real]
        ptr = torch.zeros(contexts.counts.numel() + 1, dtype=torch.int64)
        torch.cumsum(contexts.counts, 0, out=ptr[1:])
        x = take_rows(graph.x, nodes)
        x = x if isinstance(x, SparseMatrix) else x.float()
        y = None if graph.y is None else graph.y[nodes[ptr[:-1]]]
        adj = induced(graph.adj, nodes, ptr, self._scratch)
        return Graph(adj, x, y, ptr=ptr, targets=ptr[:-1], scores=scores, name=graph.name)


def induced(csr: CSR, nodes: Tensor, ptr: Tensor, scratch: list[Tensor] | None = None) -> CSR:
    """The subgraphs induced by the groups nodes[ptr[g]:ptr[g+1]], as one block-diagonal graph.

    The nodes of a group are distinct. scratch: an empty list that keeps working memory of the graph's size between
    calls.
    """
    kernels = index_kernels(csr.indptr, csr.indices, nodes)
    if kernels is None:
        return _induced_plain(csr, nodes, ptr)
    scratch = [] if scratch is None else scratch
    threads = torch.get_num_threads()
    if not scratch or scratch[0].shape[0] < threads:
        scratch[:] = [torch.full((threads, csr.n_cols), -1, dtype=torch.int32)]
    degree, indptr = torch.empty(nodes.numel(), dtype=torch.int64), torch.zeros(nodes.numel() + 1, dtype=torch.int64)
    given = (count(ptr.numel() - 1), *map(pointer, (ptr, nodes, csr.indptr, csr.indices)))
    room = (count(csr.n_cols), pointer(scratch[0]))
    kernels.induce(threads, *given, *room, pointer(degree), pointer(None), pointer(None))
    torch.cumsum(degree, 0, out=indptr[1:])
    indices = torch.empty(int(indptr[-1]), dtype=torch.int32)
    kernels.induce(threads, *given, *room, pointer(None), pointer(indptr), pointer(indices))
    return CSR(indptr, indices, nodes.numel())


def _induced_plain(csr: CSR, nodes: Tensor, ptr: Tensor) -> CSR:
    group = torch.repeat_interleave(torch.arange(ptr.numel() - 1), ptr.diff())
    rows, _ = csr.take(nodes)
    key = group[rows.rows] * csr.n_cols + rows.columns
    own = group * csr.n_cols + nodes
    order = torch.argsort(own)
    at = torch.searchsorted(own[order], key).clamp(max=own.numel() - 1)
    found = own[order][at] == key
    kept = torch.zeros(rows.nnz + 1, dtype=torch.int64)
    torch.cumsum(found, 0, out=kept[1:])
    return CSR(kept[rows.indptr], order[at[found]].to(torch.int32), nodes.numel())
