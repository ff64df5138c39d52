"""Compressed sparse rows: the format of all graphs and sparse feature matrices in this package."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from espalier.graph.ops.library import count, index_kernels, pointer


@dataclass(frozen=True, eq=False)
class CSR:
    """The pattern of a sparse matrix. For a graph: row i lists the nodes that send messages to node i.

    indptr: (n_rows + 1,) int64. indices: (nnz,) int32, the columns of each row. n_cols: number of columns.
    """

    indptr: Tensor
    indices: Tensor
    n_cols: int
    _transposed: list[tuple[CSR, Tensor]] = field(default_factory=list, repr=False)

    @classmethod
    def from_pairs(cls, row: Tensor, column: Tensor, n_rows: int, n_cols: int) -> CSR:
        """From (nnz,) row and column numbers in any order; entries are sorted, duplicates stay."""
        order = torch.argsort(row * n_cols + column)
        indptr = torch.zeros(n_rows + 1, dtype=torch.int64, device=row.device)
        torch.cumsum(torch.bincount(row, minlength=n_rows), 0, out=indptr[1:])
        return cls(indptr, column[order].to(torch.int32).contiguous(), n_cols)

    @property
    def n_rows(self) -> int:
        """Number of rows."""
        return self.indptr.numel() - 1

    @property
    def nnz(self) -> int:
        """Number of entries; for a graph, the number of directed edges."""
        return self.indices.numel()

    @property
    def device(self) -> torch.device:
        """The device of the arrays."""
        return self.indices.device

    @cached_property
    def degree(self) -> Tensor:
        """(n_rows,) int64 entries of each row."""
        return self.indptr.diff()

    @cached_property
    def rows(self) -> Tensor:
        """(nnz,) int64 row number of each entry."""
        return torch.repeat_interleave(torch.arange(self.n_rows, device=self.device), self.degree)

    @cached_property
    def columns(self) -> Tensor:
        """(nnz,) `indices` as int64, for indexing in torch."""
        return self.indices.long()

    @property
    def transposed(self) -> tuple[CSR, Tensor]:
        """The transposed pattern, and (nnz,) int64 the position of each of its entries in this one. Computed once."""
        if not self._transposed:
            self._transposed.append(self._transpose())
        return self._transposed[0]

    def _transpose(self) -> tuple[CSR, Tensor]:
        if kernels := index_kernels(self.indptr, self.indices):
            indptr = torch.zeros(self.n_cols + 1, dtype=torch.int64)
            indices, position = torch.empty_like(self.indices), torch.empty(self.nnz, dtype=torch.int64)
            arrays = (self.indptr, self.indices, indptr, indices, position)
            kernels.transpose(count(self.n_rows), count(self.n_cols), *map(pointer, arrays))
        else:
            position = torch.argsort(self.columns, stable=True)
            indices = self.rows[position].to(torch.int32)
            indptr = torch.zeros(self.n_cols + 1, dtype=torch.int64, device=self.device)
            torch.cumsum(torch.bincount(self.columns, minlength=self.n_cols), 0, out=indptr[1:])
        return CSR(indptr, indices, self.n_rows), position

    def take(self, rows: Tensor) -> tuple[CSR, Tensor]:
        """The pattern of some rows (k,) int64, and (nnz of them,) int64 the position of each entry in this one."""
        degree = self.degree[rows]
        indptr = torch.zeros(rows.numel() + 1, dtype=torch.int64, device=self.device)
        torch.cumsum(degree, 0, out=indptr[1:])
        position = torch.arange(int(indptr[-1]), device=self.device)
        position += torch.repeat_interleave(self.indptr[rows] - indptr[:-1], degree)
        return CSR(indptr, self.indices[position], self.n_cols), position

    def to(self, device: torch.device | str) -> CSR:
        """The same pattern on another device."""
        return CSR(self.indptr.to(device), self.indices.to(device), self.n_cols)


@dataclass(frozen=True, eq=False)
class SparseMatrix:
    """A sparse (N, F) feature matrix: bag-of-words features are 0.3 to 2% dense.

    csr: the pattern. values: (nnz,) floats.
    """

    csr: CSR
    values: Tensor

    @classmethod
    def from_dense(cls, x: Tensor) -> SparseMatrix:
        """The non-zeros of x (N, F)."""
        row, column = x.nonzero(as_tuple=True)
        return cls(CSR.from_pairs(row, column, *x.shape), x[row, column])

    @property
    def shape(self) -> tuple[int, int]:
        """(N, F)."""
        return self.csr.n_rows, self.csr.n_cols

    @property
    def device(self) -> torch.device:
        """The device of the arrays."""
        return self.values.device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the values."""
        return self.values.dtype

    def take(self, rows: Tensor) -> SparseMatrix:
        """Rows (k,) int64, as a (k, F) matrix."""
        csr, position = self.csr.take(rows)
        return SparseMatrix(csr, self.values[position])

    def dense(self) -> Tensor:
        """The whole (N, F) array."""
        out = self.values.new_zeros(self.shape)
        return out.index_put((self.csr.rows, self.csr.columns), self.values, accumulate=True)

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> SparseMatrix:
        """The same matrix on another device or in another precision."""
        csr = self.csr if device is None else self.csr.to(device)
        return SparseMatrix(csr, self.values.to(device=device, dtype=dtype))


Features = Tensor | SparseMatrix
"""Node features (N, F): dense, or sparse if few entries are not zero."""
