"""Graphs in `.npz` files: gnn-benchmark's layout (Amazon, Coauthor) and this project's own. Never unpickled."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from espalier.core.errors import DataError
from espalier.core.io.files import write_atomic
from espalier.graph.data.arrays import as_features, as_integers, as_labels, as_mask
from espalier.graph.data.graph import Graph, check_members, checked_matrix, symmetric, warn_unread
from espalier.graph.ops.csr import SparseMatrix
from espalier.graph.ops.features import pack

SPLITS = ("train", "val", "test")


def read_npz(file: Path) -> Graph:
    """The graph in `file`. Bag-of-words features of the benchmark layout are converted to binary, as PyG does.

    Raises DataError, naming file and key, if something is missing or inconsistent.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except Exception as error:  # a broken archive, or a broken header in it, can raise anything
        raise DataError(f"{file}: not an .npz of plain arrays ({error})") from None
    return _own(file, arrays) if "indptr" in arrays else _benchmark(file, arrays)


def write_npz(graph: Graph, file: Path) -> None:
    """Write `graph` in this project's layout, atomically: indptr, indices, x (or x_values ...), y, splits."""
    arrays: dict[str, Any] = {"indptr": graph.adj.indptr.numpy(), "indices": graph.adj.indices.numpy()}
    if isinstance(graph.x, SparseMatrix):
        arrays |= {"x_indptr": graph.x.csr.indptr.numpy(), "x_indices": graph.x.csr.indices.numpy()}
        arrays |= {"x_values": graph.x.values.numpy(), "x_shape": np.array(graph.x.shape)}
    else:
        arrays["x"] = graph.x.numpy()
    optional = {"y": graph.y, "ptr": graph.ptr, **graph.splits}
    arrays |= {key: value.numpy() for key, value in optional.items() if value is not None}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_atomic(file, buffer.getvalue())


def _own(file: Path, arrays: dict[str, Any]) -> Graph:
    n = max(_get(file, arrays, "indptr").size - 1, 0)
    pattern = _get(file, arrays, "indices")
    given = checked_matrix(np.ones(pattern.size, np.int8), pattern, arrays["indptr"], (n, n), f"{file}: the graph").csr
    adj = symmetric(given.rows, given.columns, n, str(file))
    if "x" in arrays:
        x: Any = torch.from_numpy(as_features(arrays["x"], f"{file}: x"))
    else:
        values, indices, indptr, shape = (
            _get(file, arrays, f"x_{k}") for k in ("values", "indices", "indptr", "shape")
        )
        x = checked_matrix(values, indices, indptr, shape, f"{file}: the features")
    if x.shape[0] != n:
        raise DataError(f"{file}: x has {x.shape[0]} rows for {n} nodes")
    ptr = torch.from_numpy(as_integers(arrays["ptr"], f"{file}: ptr")) if "ptr" in arrays else None
    if ptr is not None:
        check_members(ptr, adj, f"{file}: ptr")
    count = n if ptr is None else ptr.numel() - 1
    splits = {key: torch.from_numpy(as_mask(arrays[key], f"{file}: {key}", n)) for key in SPLITS if key in arrays}
    y = _labels(file, "y", arrays["y"], count) if "y" in arrays else None
    return Graph(adj, x, y, splits, ptr, name=file.stem)


def _benchmark(file: Path, arrays: dict[str, Any]) -> Graph:
    matrices = []
    for part in ("adj", "attr"):
        data, indices, indptr, shape = (
            _get(file, arrays, f"{part}_{k}") for k in ("data", "indices", "indptr", "shape")
        )
        matrices.append(checked_matrix(data, indices, indptr, shape, f"{file}: {part}"))
    pattern, x = matrices
    n = pattern.shape[0]
    if not n == pattern.shape[1] == x.shape[0]:
        raise DataError(f"{file}: adj is {pattern.shape[0]} x {pattern.shape[1]}, attr has {x.shape[0]} rows")
    adj = symmetric(pattern.csr.rows, pattern.csr.columns, n, str(file))
    if bool((pattern.values != 1).any()):
        warn_unread(str(file), "the weights in adj_data are")
    y = _labels(file, "labels", _get(file, arrays, "labels"), n)
    binary = SparseMatrix(x.csr, (x.values > 0).float())
    dense = binary.csr.nnz >= 0.1 * x.shape[0] * x.shape[1]
    return Graph(adj, pack(binary.dense()) if dense else binary, y, name=file.stem)


def _labels(file: Path, key: str, values: Any, count: int) -> Tensor:
    labels = torch.from_numpy(as_labels(values, f"{file}: {key}"))
    if labels.numel() != count:
        raise DataError(f"{file}: {key} has {labels.numel()} labels for {count}")
    return labels


def _get(file: Path, arrays: dict[str, Any], key: str) -> Any:
    found = arrays.get(key)
    if not isinstance(found, np.ndarray):
        raise DataError(f"{file}: there is no array {key!r}; it holds {', '.join(sorted(arrays))}")
    return found
