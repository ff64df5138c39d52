"""The input of an encoder's first layer: dense or sparse features, some rows of which may be masked."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from espalier.graph.ops.csr import Features, SparseMatrix
from espalier.graph.ops.dropout import feature_dropout
from espalier.graph.ops.spmm import matmul

SPARSE_BELOW = 0.1
"""Share of non-zeros below which features are kept as a sparse matrix."""


@dataclass(frozen=True, eq=False)
class Corrupted:
    """Features of which some rows are replaced by another node's features, or by a learned token.

    x: the features (N, F). hidden: (h,) int64, rows that are replaced by `token` (1, F). shows: (N,) int64 or None,
    index of the node whose features a row gets (itself, except for noise rows). The products with a weight have size N
    x F only if x is dense.
    """

    x: Features
    hidden: Tensor
    token: Tensor
    shows: Tensor | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(N, F)."""
        return self.x.shape[0], self.x.shape[1]

    def project(self, weight: Tensor, rate: float, training: bool) -> Tensor:
        """(N, out): the corrupted features times `weight` (F, out), after dropout of everything except tokens."""
        shown = (self.token @ weight).expand(self.hidden.numel(), -1)
        if isinstance(self.x, SparseMatrix):
            z = matmul(feature_dropout(self.x, rate, training), weight)
            z = z if self.shows is None else z.index_select(0, self.shows)
            return z.index_copy(0, self.hidden, shown)
        n = self.x.shape[0]
        visible = torch.ones(n, dtype=torch.bool, device=self.x.device).index_fill_(0, self.hidden, False)
        rows = visible.nonzero().squeeze(1)
        x = self.x.index_select(0, rows if self.shows is None else self.shows[rows])
        z = matmul(feature_dropout(x, rate, training), weight)
        return z.new_zeros(n, z.shape[1]).index_copy(0, rows, z).index_copy(0, self.hidden, shown)

    def dense(self) -> Tensor:
        """The whole (N, F) array, for layers that do not start with a projection."""
        x = dense(self.x)
        x = x if self.shows is None else x[self.shows]
        return x.index_copy(0, self.hidden, self.token.expand(self.hidden.numel(), -1))


Input = Features | Corrupted
"""The input of a first layer, (N, F)."""


def project(x: Input, weight: Tensor, rate: float = 0.0, training: bool = False) -> Tensor:
    """dropout(x) @ weight: x (N, F), weight (F, out), returns (N, out)."""
    if isinstance(x, Corrupted):
        return x.project(weight, rate, training)
    return matmul(feature_dropout(x, rate, training), weight)


def dense(x: Input) -> Tensor:
    """x (N, F) as one array."""
    return x if isinstance(x, Tensor) else x.dense()


def pack(x: Tensor) -> Features:
    """x (N, F) as a sparse matrix if it is sparse enough, else unchanged."""
    return SparseMatrix.from_dense(x) if bool(x.count_nonzero() < SPARSE_BELOW * x.numel()) else x


def take_rows(x: Features, rows: Tensor) -> Features:
    """Rows (k,) int64 of x (N, F)."""
    return x.take(rows) if isinstance(x, SparseMatrix) else x.index_select(0, rows)
