"""Planetoid's raw files, `ind.NAME.{x,tx,allx,y,ty,ally,graph,test.index}`: Python 2 pickles, read without trust."""

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
from espalier.graph.data.graph import Graph, checked_matrix, symmetric
from espalier.graph.ops.csr import CSR, SparseMatrix

VALIDATION = 500
"""Nodes after the training nodes that the public split validates on."""


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
            raise pickle.UnpicklingError(f"it wants {module}.{name}, which no Planetoid file needs")
        return _ALLOWED[module, name]


def read_planetoid(raw: Path, name: str) -> Graph:
    """The graph in folder `raw`, with the public split: the labelled training rows, the next 500, the test rows.

    Test nodes that the files skip (CiteSeer) get zero features, label 0 and no split. Raises DataError by file.
    """
    parts = {key: _load(raw / f"ind.{name}.{key}") for key in ("x", "tx", "allx", "y", "ty", "ally", "graph")}
    test = _test_index(raw / f"ind.{name}.test.index")
    known, found = _matrix(parts["allx"], raw, name, "allx"), _matrix(parts["tx"], raw, name, "tx")
    first, n = known.shape[0], max(int(test.max()) + 1, known.shape[0])
    if found.shape[0] != test.numel() or known.shape[1] != found.shape[1] or int(test.min()) < first:
        raise DataError(f"{raw}/ind.{name}.*: tx, allx and test.index are of different sizes")
    y = torch.zeros(n, dtype=torch.int64)
    y[:first] = torch.as_tensor(np.asarray(parts["ally"])).argmax(1)
    y[test] = torch.as_tensor(np.asarray(parts["ty"])).argmax(1)
    train = torch.zeros(n, dtype=torch.bool)
    train[: len(parts["y"])] = True
    val = torch.zeros(n, dtype=torch.bool)
    val[len(parts["y"]) : len(parts["y"]) + VALIDATION] = True
    mask = torch.zeros(n, dtype=torch.bool)
    mask[test] = True
    lists = parts["graph"]
    pairs = [(int(a), int(b)) for a, others in lists.items() for b in others]
    ends = torch.tensor(pairs, dtype=torch.int64).reshape(-1, 2)
    adj = symmetric(ends[:, 0], ends[:, 1], n, f"{raw}/ind.{name}.graph")
    x = _stacked(known, found, test, n)
    return Graph(adj, x, y, {"train": train, "val": val, "test": mask}, name=name)


def _stacked(known: SparseMatrix, found: SparseMatrix, test: Tensor, n: int) -> SparseMatrix:
    """Rows of `known` first, then row k of `found` at test[k]; rows in between are empty."""
    row = torch.cat([known.csr.rows, test[found.csr.rows]])
    column = torch.cat([known.csr.columns, found.csr.columns])
    values = torch.cat([known.values, found.values])
    order = torch.argsort(row * known.shape[1] + column)
    return SparseMatrix(CSR.from_pairs(row, column, n, known.shape[1]), values[order])


def _matrix(part: Any, raw: Path, name: str, key: str) -> SparseMatrix:
    where = f"{raw}/ind.{name}.{key}"
    if not isinstance(part, _Matrix):
        raise DataError(f"{where}: this is no sparse matrix")
    return checked_matrix(part.data, part.indices, part.indptr, part.__dict__["_shape"], where)


def _load(file: Path) -> Any:
    if not file.is_file():
        raise DataError(f"there is no {file}: a Planetoid set needs ind.NAME.x, tx, allx, y, ty, ally and graph")
    try:
        return _Unpickler(io.BytesIO(file.read_bytes()), encoding="latin1").load()
    except Exception as error:  # a broken pickle can raise anything
        raise DataError(f"{file}: this is not a Planetoid pickle ({error})") from None


def _test_index(file: Path) -> Tensor:
    if not file.is_file():
        raise DataError(f"there is no {file}: it lists the test nodes, one a line")
    numbers = []
    for line, text in enumerate(file.read_text().split("\n"), 1):
        if text.strip():
            try:
                numbers.append(int(text))
            except ValueError:
                raise DataError(f"{file}:{line}: {text.strip()!r} is not a node number") from None
    if not numbers:
        raise DataError(f"{file} is empty: it lists the test nodes, one a line")
    return torch.tensor(numbers)
