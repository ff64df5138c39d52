"""Self-loops and dropped edges, in time linear in the edges."""

from __future__ import annotations

import torch
from torch import Tensor

from espalier.graph.ops.csr import CSR


def with_loops(csr: CSR) -> CSR:
    """The graph with one more self-loop per node, first in its row."""
    n, device = csr.n_rows, csr.device
    nodes = torch.arange(n, device=device)
    indices = torch.empty(csr.nnz + n, dtype=torch.int32, device=device)
    indices[csr.indptr[:-1] + nodes] = nodes.to(torch.int32)
    indices[torch.arange(csr.nnz, device=device) + csr.rows + 1] = csr.indices
    return CSR(csr.indptr + torch.arange(n + 1, device=device), indices, csr.n_cols)


def keep_entries(csr: CSR, keep: Tensor) -> CSR:
    """The entries for which keep (nnz,) bool is true."""
    kept = torch.zeros(csr.nnz + 1, dtype=torch.int64, device=csr.device)
    torch.cumsum(keep, 0, out=kept[1:])
    return CSR(kept[csr.indptr], csr.indices[keep], csr.n_cols)


def without_loops(csr: CSR) -> CSR:
    """The graph without entries (i, i)."""
    return keep_entries(csr, csr.rows != csr.columns)


def drop_edges(csr: CSR, rate: float) -> CSR:
    """Each directed edge dropped with probability `rate`, independently."""
    return csr if rate <= 0.0 else keep_entries(csr, torch.rand(csr.nnz, device=csr.device) >= rate)


def gcn_weights(csr: CSR) -> Tensor:
    """(nnz,) entries of D^-1/2 A D^-1/2, A being the graph with its self-loops (Kipf and Welling 2017)."""
    scale = csr.degree.clamp(min=1).to(torch.get_default_dtype()).rsqrt()
    return scale[csr.rows] * scale[csr.columns]
