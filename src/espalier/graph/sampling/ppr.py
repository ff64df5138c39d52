"""Personalised PageRank by push, parallel over seeds."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from espalier.graph.ops.csr import CSR
from espalier.graph.ops.library import count, index_kernels, pointer


@dataclass(frozen=True, eq=False)
class Contexts:
    """The nodes with the largest personalised PageRank of each seed: the seed first, then by descending score.

    nodes: (S, keep) int32, padded with -1. scores: (S, keep) float32, padded with 0. counts: (S,) int64, number of
    nodes.
    """

    nodes: Tensor
    scores: Tensor
    counts: Tensor

    def matrix(self, n: int) -> tuple[CSR, Tensor]:
        """The scores as a sparse (S, n) matrix: its pattern and (nnz,) values."""
        real = torch.arange(self.nodes.shape[1]) < self.counts.unsqueeze(1)
        indptr = torch.zeros(self.counts.numel() + 1, dtype=torch.int64)
        torch.cumsum(self.counts, 0, out=indptr[1:])
        return CSR(indptr, self.nodes[real].contiguous(), n), self.scores[real]


def ppr(
    csr: CSR,
    seeds: Tensor | None = None,
    *,
    teleport: float = 0.15,
    tolerance: float = 1e-4,
    keep: int = 128,
    by_degree: bool = False,
    limit: int = 0,
) -> Contexts:
    """The `keep` nodes with the largest score for each seed (S,) int64, every node if None.

    A residual is pushed while it is at least `tolerance` times its node's degree, so each score is within that of the
    exact one. by_degree: rank by score / degree. limit: largest number of pushes per seed, 0 for no limit. csr: (N, N).
    Source: Andersen, Chung and Lang 2006.
    """
    seeds = torch.arange(csr.n_rows) if seeds is None else seeds.to(torch.int64).contiguous()
    if seeds.numel() and not (int(seeds.min()) >= 0 and int(seeds.max()) < csr.n_rows):
        raise ValueError(f"seeds must be nodes of 0 to {csr.n_rows - 1}")
    keep = min(keep, csr.n_rows)
    nodes = torch.full((seeds.numel(), keep), -1, dtype=torch.int32)
    scores, counts = torch.zeros(seeds.numel(), keep), torch.zeros(seeds.numel(), dtype=torch.int64)
    kernels = index_kernels(csr.indptr, csr.indices)
    if kernels is None:
        _plain(csr, seeds, teleport, tolerance, limit, by_degree, (nodes, scores, counts))
        return Contexts(nodes, scores, counts)
    failed = kernels.ppr(
        torch.get_num_threads(),
        count(csr.n_rows),
        count(seeds.numel()),
        *map(pointer, (seeds, csr.indptr, csr.indices)),
        ctypes.c_float(teleport),
        ctypes.c_float(tolerance),
        count(limit),
        count(keep),
        int(by_degree),
        *map(pointer, (nodes, scores, counts)),
    )
    if failed:
        raise MemoryError(f"no memory for {torch.get_num_threads()} threads of PageRank over {csr.n_rows} nodes")
    return Contexts(nodes, scores, counts)


def _plain(
    csr: CSR,
    seeds: Tensor,
    teleport: float,
    tolerance: float,
    limit: int,
    by_degree: bool,
    out: tuple[Tensor, Tensor, Tensor],
) -> None:
    """The same in Python, for machines without a compiler, and to test the kernel against."""
    indptr, indices = csr.indptr.cpu().numpy(), csr.indices.cpu().numpy()
    degree = np.diff(indptr)
    nodes, scores, counts = out
    for row, seed in enumerate(seeds.tolist()):
        score: dict[int, float] = {}
        residual, queue, queued, pushes = {seed: 1.0}, [seed], {seed}, 0
        while queue and (not limit or pushes < limit):
            pushes += 1
            u = queue.pop(0)
            queued.discard(u)
            r = residual.pop(u, 0.0)
            score[u] = score.get(u, 0.0) + (teleport * r if degree[u] else r)
            for v in indices[indptr[u] : indptr[u + 1]].tolist():
                residual[v] = residual.get(v, 0.0) + (1 - teleport) * r / degree[u]
                if v not in queued and residual[v] >= tolerance * degree[v]:
                    queued.add(v)
                    queue.append(v)
        if by_degree:
            score = {u: value / max(int(degree[u]), 1) for u, value in score.items()}
        others = sorted((u for u in score if u != seed), key=lambda u: (-score[u], u))
        ranked = [seed, *others][: nodes.shape[1]]
        nodes[row, : len(ranked)] = torch.tensor(ranked, dtype=torch.int32)
        scores[row, : len(ranked)] = torch.tensor([score.get(u, 0.0) for u in ranked])
        counts[row] = len(ranked)
