"""Contexts as sequences: converts between concatenated nodes and padded rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from espalier.graph.data.graph import Graph


@dataclass(frozen=True, eq=False)
class Sequences:
    """The place of each of N nodes in B padded rows of length L.

    row, place: (N,) int64. real: (B, L) bool. sizes: (B,) int64.
    """

    row: Tensor
    place: Tensor
    real: Tensor
    sizes: Tensor

    @classmethod
    def of(cls, graph: Graph) -> Sequences:
        """One row per member graph, in the order of its nodes."""
        assert graph.ptr is not None, "contexts come side by side"
        sizes, row = graph.ptr.diff(), graph.member
        place = torch.arange(graph.n_nodes, device=row.device) - graph.ptr[row]
        length = int(sizes.max())
        return cls(row, place, torch.arange(length, device=row.device) < sizes.unsqueeze(1), sizes)

    def padded(self, x: Tensor, fill: float = 0.0) -> Tensor:
        """x (N, ...) as (B, L, ...)."""
        out = x.new_full((*self.real.shape, *x.shape[1:]), fill)
        return out.index_put((self.row, self.place), x)

    def flat(self, x: Tensor) -> Tensor:
        """x (B, L, ...) as (N, ...)."""
        return x[self.row, self.place]

    def draw(self, rate: float) -> Tensor:
        """(B, L) bool: floor(rate * size) real places of each row, at random."""
        order = torch.rand(self.real.shape, device=self.real.device).masked_fill(~self.real, 2.0).argsort(1).argsort(1)
        return order < (rate * self.sizes).long().unsqueeze(1)
