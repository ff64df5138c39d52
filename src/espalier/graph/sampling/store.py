"""Graphs on disk that are larger than memory: raw arrays, memory-mapped, built in two passes over the edges.

    graph.json     sizes, types, name        indptr.i64, indices.i32    the graph
    x.f16 or .f32  features                  y.i64                      labels

A store opens as an ordinary `Graph` whose arrays are read from disk as they are needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from espalier.core.errors import DataError
from espalier.core.io.files import atomic_dir, write_json
from espalier.core.io.text import parse_json, read_text
from espalier.graph.data.arrays import as_labels
from espalier.graph.data.graph import Graph
from espalier.graph.ops.csr import CSR
from espalier.graph.ops.library import count, index_kernels, pointer

KINDS = {"f16": np.float16, "f32": np.float32}
"""Precisions of features."""
PART = 1 << 22
"""Number of values that are checked at a time."""
Edges = tuple[Any, Any]
"""Sources and targets, (k,) int64 numpy arrays."""
Blocks = Callable[[], Iterator[Edges]]
"""Returns the edges block by block; a second call returns the same edges."""


def open_store(folder: Path) -> Graph:
    """The graph in `folder`, memory-mapped. Raises DataError if it is not a graph store, or its files are
    inconsistent.

    Pointers, node ids and labels are checked once, block by block; features only when they are used.
    """
    meta = _meta(folder / "graph.json")
    n, nnz, width = meta["nodes"], meta["entries"], meta["features"]
    indptr, indices = _map(folder / "indptr.i64", np.int64, (n + 1,)), _map(folder / "indices.i32", np.int32, (nnz,))
    x = _map(folder / f"x.{meta['dtype']}", KINDS[meta["dtype"]], (n, width))
    y = _map(folder / "y.i64", np.int64, (n,)) if meta["labels"] else None
    rise = all(bool((np.diff(part) >= 0).all()) for part in _parts(folder / "indptr.i64", np.int64, overlap=1))
    if not rise or int(indptr[0]) != 0 or int(indptr[-1]) != nnz:
        raise DataError(f"{folder / 'indptr.i64'}: it does not increase from 0 to {nnz}: the store is damaged")
    for part in _parts(folder / "indices.i32", np.int32):
        if int(part.min()) < 0 or int(part.max()) >= n:
            raise DataError(f"{folder / 'indices.i32'}: it names a node that is not one of 0 to {n - 1}: damaged")
    adj = CSR(torch.from_numpy(indptr), torch.from_numpy(indices), n)
    if y is not None:
        first = 0
        for part in _parts(folder / "y.i64", np.int64):
            as_labels(part, str(folder / "y.i64"), first=first, most=n)
            first += part.size
    labels = None if y is None else torch.from_numpy(y)
    return Graph(adj, torch.from_numpy(x), labels, name=meta["name"])


def _meta(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise DataError(f"{file.parent} is not a graph store: it has no {file.name}")
    meta = parse_json(read_text(file), str(file))
    if not isinstance(meta, dict):
        raise DataError(f"{file}: not a description of a graph on disk")
    for key in ("nodes", "entries", "features"):
        if type(meta.get(key)) is not int or not 0 <= meta[key] < 2**40:
            raise DataError(f"{file}: {key} is {str(meta.get(key))[:40]}, not a whole number")
    if not isinstance(meta.get("name"), str) or not isinstance(meta.get("labels"), bool):
        raise DataError(f"{file}: `name` is a text, `labels` true or false")
    if not isinstance(meta.get("dtype"), str) or meta["dtype"] not in KINDS:
        raise DataError(f"{file}: dtype is {str(meta.get('dtype'))[:40]}, not {' or '.join(KINDS)}")
    return meta


def _parts(file: Path, dtype: Any, overlap: int = 0) -> Iterator[Any]:
    """The array in a raw file, `PART` numbers at a time; each part begins with the last `overlap` of the one before."""
    with file.open("rb") as opened:
        part = np.fromfile(opened, dtype, PART)
        while part.size > overlap:
            yield part
            kept = part[part.size - overlap :]
            part = np.concatenate([kept, np.fromfile(opened, dtype, PART)])


def write_store(
    folder: Path,
    name: str,
    nodes: int,
    edges: Blocks,
    features: Callable[[int, int], Any],
    width: int,
    labels: Callable[[int, int], Any] | None = None,
    *,
    dtype: str = "f16",
    block: int = 1 << 18,
) -> None:
    """Build a store, or leave nothing. Memory: 16 bytes per node, and one block of edges or features at a time.

    edges: undirected, in any order, with duplicates; each is read twice. features(a, b): rows a to b, (b - a, width).
    labels(a, b): (b - a,). Raises DataError for an edge between nodes that do not exist.
    """
    with atomic_dir(folder) as temp:
        entries = _write_graph(temp, name, nodes, edges)
        x = _map(temp / f"x.{dtype}", KINDS[dtype], (nodes, width), create=True)
        y = _map(temp / "y.i64", np.int64, (nodes,), create=True) if labels else None
        for start in range(0, nodes, block):
            end = min(start + block, nodes)
            x[start:end] = features(start, end)
            if y is not None and labels is not None:
                y[start:end] = labels(start, end)
        _done(x, y)
        meta = {"name": name, "nodes": nodes, "entries": entries, "features": width, "dtype": dtype}
        write_json(temp / "graph.json", {**meta, "labels": labels is not None})


def _write_graph(folder: Path, name: str, nodes: int, edges: Blocks) -> int:
    """Count, place, then sort and drop duplicates in place. Returns the number of entries."""
    kernels = index_kernels()
    degree = np.zeros(nodes + 1, np.int64)
    for source, target in edges():
        if source.size and not (min(source.min(), target.min()) >= 0 and max(source.max(), target.max()) < nodes):
            raise DataError(f"{name}: an edge names a node that is not one of 0 to {nodes - 1}")
        if kernels:
            kernels.count_ends(count(source.size), *map(pointer, (source, target, degree[1:])))
        else:
            degree[1:] += np.bincount(source, minlength=nodes) + np.bincount(target, minlength=nodes)
    indptr = np.cumsum(degree, out=degree)
    indices = _map(folder / "indices.i32", np.int32, (int(indptr[-1]),), create=True)
    cursor = indptr[:-1].copy()
    for source, target in edges():
        if kernels:
            kernels.place_ends(count(source.size), *map(pointer, (source, target, cursor, indices)))
        else:
            for a, b in zip((*source, *target), (*target, *source), strict=True):
                indices[cursor[a]] = b
                cursor[a] += 1
    if kernels:
        kernels.tidy_rows.restype = type(count(0))
        entries = int(kernels.tidy_rows(torch.get_num_threads(), count(nodes), *map(pointer, (indptr, indices))))
    else:
        entries = _tidy(indptr, indices)
    _done(indices)
    with (folder / "indices.i32").open("r+b") as file:
        file.truncate(entries * 4)
    indptr.tofile(folder / "indptr.i64")
    return entries


def _tidy(indptr: Any, indices: Any) -> int:
    at, start = 0, int(indptr[0])
    for node in range(indptr.size - 1):
        end = int(indptr[node + 1])
        own = np.unique(indices[start:end])
        own = own[own != node]
        indices[at : at + own.size] = own
        start, at = end, at + own.size
        indptr[node + 1] = at
    return at


def _map(file: Path, dtype: Any, shape: tuple[int, ...], create: bool = False) -> Any:
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if not create and (not file.is_file() or file.stat().st_size != size):
        found = f"has {file.stat().st_size} bytes in place of {size}" if file.is_file() else "is not there"
        raise DataError(f"{file} {found}: the store is damaged")
    if size == 0:
        file.touch()
        return np.zeros(shape, dtype)
    return np.memmap(file, dtype, "w+" if create else "c", shape=shape)


def _done(*arrays: Any) -> None:
    for array in arrays:
        if isinstance(array, np.memmap):
            array.flush()
