"""Planetoid's raw files, `ind.NAME.{x,tx,allx,y,ty,ally,graph,test.index}`: Python 2 pickles, read by a restricted
unpickler.
"""

from __future__ import annotations

import collections
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from espalier.core.errors import DataError
from espalier.graph.data.arrays import as_features
from espalier.graph.data.columns import read_integers
from espalier.graph.data.graph import Graph, checked_matrix, symmetric
from espalier.graph.ops.csr import CSR, SparseMatrix

VALIDATION = 500
"""Number of nodes after the training nodes on which the public split validates."""
SPARE = 10
"""Test nodes may skip numbers, up to this many times the number of nodes with features."""
MOST = 2**31 - 1
"""The largest node number."""


class _Matrix:
    """Receives the state of a pickled scipy CSR matrix."""

    data: Any
    indices: Any
    indptr: Any
    _shape: tuple[int, int]


_MULTIARRAY = np.empty(0).__reduce__()[0]
_ALLOWED: dict[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _MULTIARRAY,
    ("numpy._core.multiarray", "_reconstruct"): _MULTIARRAY,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("scipy.sparse.csr", "csr_matrix"): _Matrix,
    ("scipy.sparse._csr", "csr_matrix"): _Matrix,
    ("collections", "defaultdict"): collections.defaultdict,
    ("__builtin__", "list"): list,
    ("builtins", "list"): list,
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}, which no Planetoid file needs")
        return _ALLOWED[module, name]


def read_planetoid(raw: Path, name: str) -> Graph:
    """The graph in folder `raw`, with the public split: the labelled training rows, the next 500, the test rows.

    Test nodes that the files skip (CiteSeer) get zero features, label 0 and no split. Raises DataError with the
    file.
    """
    parts = {key: _load(raw / f"ind.{name}.{key}") for key in ("x", "tx", "allx", "y", "ty", "ally", "graph")}
    known, found = _matrix(parts["allx"], raw, name, "allx"), _matrix(parts["tx"], raw, name, "tx")
    first, labelled = known.shape[0], len(_one_hot(parts["y"], raw, name, "y"))
    test = _test_index(raw / f"ind.{name}.test.index", first)
    n = max(int(test.max()) + 1, first)
    if found.shape[0] != test.numel() or known.shape[1] != found.shape[1] or labelled > first:
        raise DataError(f"{raw}/ind.{name}.*: tx, allx, y and test.index are of different sizes")
    y = torch.zeros(n, dtype=torch.int64)
    for rows, key, count in ((slice(first), "ally", first), (test, "ty", test.numel())):
        labels = _one_hot(parts[key], raw, name, key)
        if len(labels) != count:
            raise DataError(f"{raw}/ind.{name}.{key}: labels of {len(labels)} nodes for {count}")
        y[rows] = torch.from_numpy(labels.argmax(1))
    train, val, mask = (torch.zeros(n, dtype=torch.bool) for _ in range(3))
    train[:labelled], val[labelled : min(labelled + VALIDATION, first)], mask[test] = True, True, True
    ends = _ends(parts["graph"], raw / f"ind.{name}.graph")
    adj = symmetric(ends[:, 0], ends[:, 1], n, f"{raw}/ind.{name}.graph")
    x = _stacked(known, found, test, n)
    return Graph(adj, x, y, {"train": train, "val": val, "test": mask}, name=name)


def _ends(lists: Any, where: Path) -> Tensor:
    """(E, 2) int64 of the neighbour lists."""
    if not isinstance(lists, dict) or not all(isinstance(others, list) for others in lists.values()):
        raise DataError(f"{where}: not a mapping of nodes to lists of their neighbours")
    pairs = [(a, b) for a, others in lists.items() for b in others]
    if not pairs or any(type(end) is not int or abs(end) > MOST for pair in pairs for end in pair):
        raise DataError(f"{where}: its lists of neighbours are not whole node numbers, or empty")
    return torch.tensor(pairs, dtype=torch.int64)


def _one_hot(part: Any, raw: Path, name: str, key: str) -> Any:
    """(k, classes) numbers, one column of each row marked."""
    return as_features(part, f"{raw}/ind.{name}.{key}")


def _stacked(known: SparseMatrix, found: SparseMatrix, test: Tensor, n: int) -> SparseMatrix:
    """Rows of `known` first, then row k of `found` at test[k]; rows in between are empty."""
    row = torch.cat([known.csr.rows, test[found.csr.rows]])
    column = torch.cat([known.csr.columns, found.csr.columns])
    values = torch.cat([known.values, found.values])
    order = torch.argsort(row * known.shape[1] + column)
    return SparseMatrix(CSR.from_pairs(row, column, n, known.shape[1]), values[order])


def _matrix(part: Any, raw: Path, name: str, key: str) -> SparseMatrix:
    where = f"{raw}/ind.{name}.{key}"
    if not isinstance(part, _Matrix) or not {"data", "indices", "indptr", "_shape"} <= part.__dict__.keys():
        raise DataError(f"{where}: not a sparse matrix")
    shape = part.__dict__["_shape"]
    if not isinstance(shape, tuple) or any(type(size) is not int for size in shape):
        raise DataError(f"{where}: the shape of its matrix is {str(shape)[:40]}")
    return checked_matrix(part.data, part.indices, part.indptr, shape, where)


def _load(file: Path) -> Any:
    if not file.is_file():
        raise DataError(f"there is no {file}: a Planetoid set needs ind.NAME.x, tx, allx, y, ty, ally and graph")
    try:
        return _Unpickler(io.BytesIO(file.read_bytes()), encoding="latin1").load()
    except Exception as error:  # a broken pickle can raise anything
        raise DataError(f"{file}: this is not a Planetoid pickle ({error})") from None


def _test_index(file: Path, first: int) -> Tensor:
    """(k,) the test nodes. first: the number of nodes before them."""
    if not file.is_file():
        raise DataError(f"there is no {file}: it lists the test nodes, one a line")
    numbers, lines = read_integers(file, 1)
    node = numbers[:, 0]
    _, place = np.unique(node, return_index=True)
    wrong = (node < first) | (node > SPARE * (first + node.size))
    wrong[np.setdiff1d(np.arange(node.size), place)] = True
    if wrong.any():
        row = int(wrong.argmax())
        what = "stands there twice" if node[row] in np.delete(node, row) else f"does not follow the {first} of allx"
        raise DataError(f"{file}:{lines[row]}: test node {node[row]} {what}")
    return torch.from_numpy(node)
