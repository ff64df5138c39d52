"""The graph data structure, and its conversion to and from PyTorch Geometric."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from espalier.core.errors import DataError, MissingExtraError
from espalier.graph.data.arrays import as_integers
from espalier.graph.data.prepare import Scaling
from espalier.graph.ops.csr import CSR, Features, SparseMatrix
from espalier.graph.ops.features import take_rows
from espalier.graph.ops.loops import with_loops

if TYPE_CHECKING:
    from torch_geometric.data import Data


@dataclass(frozen=True, eq=False)
class Graph:
    """A homogeneous graph, or a set of graphs as one block-diagonal graph.

    adj: in-neighbours of each node, symmetric, without duplicates and self-loops. x: features (N, F), dense or sparse.
    y: (N,) labels of nodes, or (G,) of graphs; -1 is unknown. splits: masks `train`, `val`, `test`, each (N,) bool.
    ptr: (G + 1,) int64 start of each member graph, None for one graph. targets: (k,) int64, the target nodes of a
    mini-batch, None for all. scores: (N,) PageRank of each node in its context, if there is one. name: for messages and
    reports. scaling: how the features were scaled. source: where `load` reads it from.
    """

    adj: CSR
    x: Features
    y: Tensor | None = None
    splits: Mapping[str, Tensor] = field(default_factory=dict)
    ptr: Tensor | None = None
    targets: Tensor | None = None
    scores: Tensor | None = None
    name: str = "graph"
    scaling: Scaling = field(default_factory=Scaling)
    source: str = ""

    @property
    def n_nodes(self) -> int:
        """Number of nodes, N."""
        return self.adj.n_rows

    @property
    def n_features(self) -> int:
        """Width of the features, F."""
        return self.x.shape[1]

    @property
    def n_classes(self) -> int:
        """Number of classes, one more than the largest label."""
        return 0 if self.y is None or self.y.numel() == 0 else int(self.y.max()) + 1

    @property
    def n_graphs(self) -> int:
        """Number of member graphs."""
        return 1 if self.ptr is None else self.ptr.numel() - 1

    @cached_property
    def looped(self) -> CSR:
        """`adj` with one self-loop per node, as encoders need it."""
        return with_loops(self.adj)

    @cached_property
    def member(self) -> Tensor:
        """(N,) int64 index of the member graph of each node."""
        if self.ptr is None:
            return torch.zeros(self.n_nodes, dtype=torch.int64, device=self.adj.device)
        return torch.repeat_interleave(torch.arange(self.n_graphs, device=self.ptr.device), self.ptr.diff())

    @cached_property
    def single(self) -> Graph:
        """This graph with half-precision features converted to single precision, in which layers compute."""
        half = isinstance(self.x, Tensor) and self.x.dtype == torch.float16
        return replace(self, x=self.x.to(dtype=torch.float32)) if half else self

    def select(self, graphs: Tensor) -> Graph:
        """The member graphs (k,) int64, as a set of graphs."""
        assert self.ptr is not None, "this is one graph"
        sizes = self.ptr.diff()[graphs]
        ptr = torch.zeros(graphs.numel() + 1, dtype=torch.int64)
        torch.cumsum(sizes, 0, out=ptr[1:])
        shift = torch.repeat_interleave(self.ptr[graphs] - ptr[:-1], sizes)
        nodes = torch.arange(int(ptr[-1])) + shift
        csr, _ = self.adj.take(nodes)
        indices = (csr.columns - shift[csr.rows]).to(torch.int32)
        adj = CSR(csr.indptr, indices, nodes.numel())
        y = None if self.y is None else self.y[graphs]
        return Graph(adj, take_rows(self.x, nodes), y, ptr=ptr, name=self.name, scaling=self.scaling)

    def to(self, device: torch.device | str) -> Graph:
        """The same graph on another device."""
        moved = {name: mask.to(device) for name, mask in self.splits.items()}
        others: dict[str, Any] = {
            name: None if value is None else value.to(device)
            for name, value in (("y", self.y), ("ptr", self.ptr), ("targets", self.targets), ("scores", self.scores))
        }
        return replace(self, adj=self.adj.to(device), x=self.x.to(device), splits=moved, **others)

    @classmethod
    def from_pyg(cls, data: Data, name: str = "graph") -> Graph:
        """From PyTorch Geometric's `Data` or `Batch`: see `espalier.graph.data.pyg`."""
        from espalier.graph.data.pyg import from_pyg

        return from_pyg(data, name)

    def to_pyg(self) -> Data:
        """As PyTorch Geometric's `Data`, with dense features."""
        try:
            from torch_geometric.data import Data
        except ModuleNotFoundError as error:
            raise MissingExtraError("torch_geometric", "graph") from error
        edges = torch.stack([self.adj.columns, self.adj.rows])
        x = self.x.dense() if isinstance(self.x, SparseMatrix) else self.x
        masks = {f"{key}_mask": mask for key, mask in self.splits.items()}
        return Data(x=x, edge_index=edges, y=self.y, **masks)

    def __repr__(self) -> str:
        kind = "sparse" if isinstance(self.x, SparseMatrix) else "dense"
        many = "" if self.ptr is None else f"{self.n_graphs} graphs, "
        edges = f"{self.adj.nnz // 2} edges, {self.n_features} {kind} features"
        return f"Graph({self.name}: {many}{self.n_nodes} nodes, {edges}, {self.n_classes} classes)"


def warn_unread(where: str, what: str) -> None:
    """Warn that edge weights and attributes of a file or an object are not read."""
    warnings.warn(f"{where}: {what} not read: edges have no weights or attributes here", UserWarning, stacklevel=3)


def symmetric(source: Tensor, target: Tensor, n: int, name: str) -> CSR:
    """The undirected graph with these edges: both directions, each once, no self-loops.

    source, target: (E,) int64. Raises DataError if one is not a node of 0 to n - 1.
    """
    ends = torch.cat([source, target])
    if ends.numel() and not (int(ends.min()) >= 0 and int(ends.max()) < n):
        bad = int(((source < 0) | (source >= n) | (target < 0) | (target >= n)).nonzero()[0])
        raise DataError(
            f"{name}: edge {bad} joins nodes {int(source[bad])} and {int(target[bad])}, but there are only {n} nodes"
        )
    other = torch.cat([target, source])
    key = torch.unique((ends * n + other)[ends != other])
    row = key // max(n, 1)
    indptr = torch.zeros(n + 1, dtype=torch.int64)
    torch.cumsum(torch.bincount(row, minlength=n), 0, out=indptr[1:])
    return CSR(indptr, (key - row * n).to(torch.int32), n)


def check_members(ptr: Tensor, adj: CSR, where: str) -> None:
    """Raises DataError if ptr (G + 1,) int64 does not divide the nodes into non-empty graphs without edges between
    them.
    """
    if ptr.dim() != 1 or ptr.numel() < 2 or int(ptr[0]) != 0 or int(ptr[-1]) != adj.n_rows:
        raise DataError(f"{where} of shape {tuple(ptr.shape)} does not divide {adj.n_rows} nodes into graphs")
    sizes = ptr.diff()
    if bool((sizes < 1).any()):
        raise DataError(f"{where}: graph {int((sizes < 1).nonzero()[0])} has no node")
    member = torch.repeat_interleave(torch.arange(sizes.numel()), sizes)
    across = (member[adj.rows] != member[adj.columns]).nonzero()
    if across.numel():
        a, b = int(adj.rows[across[0]]), int(adj.columns[across[0]])
        raise DataError(f"{where}: an edge joins nodes {a} and {b} of different graphs")


def checked_matrix(values: Any, indices: Any, indptr: Any, shape: Any, name: str) -> SparseMatrix:
    """A CSR matrix of finite numbers from untrusted numpy arrays. Raises DataError if the arrays are inconsistent."""
    pointer, column = as_integers(indptr, name), as_integers(indices, name)
    size = as_integers(np.array(shape) if isinstance(shape, tuple) else shape, name)
    if size.shape != (2,) or int(size.min()) < 0:
        raise DataError(f"{name}: its shape is {size.tolist()}, not a number of rows and one of columns")
    rows, columns = (int(number) for number in size)
    sound = pointer.size == rows + 1 and int(pointer[0]) == 0 and bool((np.diff(pointer) >= 0).all())
    sound = sound and int(pointer[-1]) == column.size == np.size(values)
    if column.size:
        sound = sound and int(column.min()) >= 0 and int(column.max()) < min(columns, 2**31)
    if not sound:
        raise DataError(f"{name}: its arrays data, indices and indptr are not a {rows} x {columns} CSR matrix")
    csr = CSR(torch.from_numpy(pointer), torch.from_numpy(column.astype(np.int32)), columns)
    return SparseMatrix(csr, torch.from_numpy(_finite(values, csr, name)))


def _finite(values: Any, csr: CSR, name: str) -> Any:
    """The entries (nnz,) of a matrix as float32."""
    if not isinstance(values, np.ndarray) or values.ndim != 1 or values.dtype.kind not in "fiub":
        raise DataError(f"{name}: its entries are no row of numbers")
    with np.errstate(over="ignore"):
        out = values.astype(np.float32)
    bad = ~np.isfinite(out)
    if bad.any():
        at = int(bad.argmax())
        place = f"row {int(csr.rows[at])}, column {int(csr.columns[at])}"
        raise DataError(f"{name}: {place} is {values[at]}, not a finite number")
    return out
