"""Augmented views of a graph: dropped edges and masked feature columns."""

from __future__ import annotations

import torch

from espalier.graph.data.graph import Graph
from espalier.graph.ops.csr import CSR, Features, SparseMatrix
from espalier.graph.ops.loops import drop_edges, with_loops


def view(graph: Graph, edge_rate: float, feature_rate: float) -> tuple[CSR, Features]:
    """The graph with self-loops after edges were dropped with probability `edge_rate`, and features whose columns were
    zeroed with probability `feature_rate`.
    """
    csr = with_loops(drop_edges(graph.adj, edge_rate)) if edge_rate else graph.looped
    return csr, mask_columns(graph.x, feature_rate)


def mask_columns(x: Features, rate: float) -> Features:
    """x (N, F) with each column zeroed with probability `rate`."""
    if rate <= 0.0:
        return x
    keep = (torch.rand(x.shape[1], device=x.device) >= rate).to(x.dtype)
    return SparseMatrix(x.csr, x.values * keep[x.csr.columns]) if isinstance(x, SparseMatrix) else x * keep
