"""Feature normalisation, as the published protocols have it."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch

from espalier.graph.data.graph import Graph
from espalier.graph.ops.csr import SparseMatrix

Normalise = Literal["row", "standard", "none"]


def normalised(graph: Graph, how: Normalise) -> Graph:
    """row: each row divided by its sum, zero rows left. standard: each column to mean 0 and variance 1 (dense)."""
    if how == "none":
        return graph
    x = graph.x
    if how == "standard":
        whole = x.dense() if isinstance(x, SparseMatrix) else x
        scale = whole.std(0, correction=0)
        return replace(graph, x=(whole - whole.mean(0)) / torch.where(scale > 0, scale, 1.0))
    if isinstance(x, SparseMatrix):
        total = torch.zeros(x.shape[0]).index_add_(0, x.csr.rows, x.values)
        factor = torch.where(total > 0, 1.0 / total, 0.0)
        return replace(graph, x=SparseMatrix(x.csr, x.values * factor[x.csr.rows]))
    total = x.sum(1, keepdim=True)
    return replace(graph, x=x * torch.where(total > 0, 1.0 / total, 0.0))
