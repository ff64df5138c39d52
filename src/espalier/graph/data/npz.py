"""Graphs in `.npz` files: gnn-benchmark's layout (Amazon, Coauthor) and this project's own. Never unpickled."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from espalier.core.errors import DataError
from espalier.core.files import write_atomic
from espalier.graph.data.graph import Graph, checked_matrix, symmetric
from espalier.graph.ops.csr import SparseMatrix
from espalier.graph.ops.features import pack

SPLITS = ("train", "val", "test")


def read_npz(file: Path) -> Graph:
    """The graph in `file`. Bag-of-words features of the benchmark layout are made binary, as PyG reads them.

    Raises DataError, naming file and key, where something is missing or does not fit.
    """
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (ValueError, OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{file}: this is no .npz of plain arrays ({error})") from None
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
    n = _get(file, arrays, "indptr").size - 1
    pattern = _get(file, arrays, "indices")
    adj = checked_matrix(np.ones(pattern.size, np.int8), pattern, arrays["indptr"], (n, n), f"{file}: the graph").csr
    if "x" in arrays:
        x: Any = torch.as_tensor(arrays["x"]).float()
    else:
        values, indices, indptr, shape = (
            _get(file, arrays, f"x_{k}") for k in ("values", "indices", "indptr", "shape")
        )
        x = checked_matrix(values, indices, indptr, shape, f"{file}: the features")
    splits = {key: torch.as_tensor(arrays[key]).bool() for key in SPLITS if key in arrays}
    for key, rows in (("x", x.shape[0]), *((key, mask.numel()) for key, mask in splits.items())):
        if rows != n:
            raise DataError(f"{file}: {key} has {rows} rows for {n} nodes")
    y, ptr = (torch.as_tensor(arrays[key]).long() if key in arrays else None for key in ("y", "ptr"))
    return Graph(adj, x, y, splits, ptr, name=file.stem)


def _benchmark(file: Path, arrays: dict[str, Any]) -> Graph:
    matrices = []
    for part in ("adj", "attr"):
        data, indices, indptr, shape = (
            _get(file, arrays, f"{part}_{k}") for k in ("data", "indices", "indptr", "shape")
        )
        matrices.append(checked_matrix(data, indices, indptr, shape, f"{file}: {part}"))
    pattern, x = matrices
    adj = symmetric(pattern.csr.rows, pattern.csr.columns, pattern.shape[0], str(file))
    y = torch.as_tensor(_get(file, arrays, "labels")).long()
    if not pattern.shape[0] == x.shape[0] == y.numel():
        raise DataError(f"{file}: {pattern.shape[0]} nodes, {x.shape[0]} rows of features, {y.numel()} labels")
    binary = SparseMatrix(x.csr, (x.values > 0).float())
    dense = binary.csr.nnz >= 0.1 * x.shape[0] * x.shape[1]
    return Graph(adj, pack(binary.dense()) if dense else binary, y, name=file.stem)


def _get(file: Path, arrays: dict[str, Any], key: str) -> Any:
    if key not in arrays:
        raise DataError(f"{file}: there is no array {key!r}; it holds {', '.join(sorted(arrays))}")
    return arrays[key]
