"""Converts an edge list of any length to a graph store, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from espalier.core.errors import DataError
from espalier.graph.data.arrays import as_features, as_labels, check_table, read_array
from espalier.graph.data.edges import edge_blocks
from espalier.graph.sampling.store import Edges, write_store


def convert(edges: Path, features: Path, folder: Path, labels: Path | None = None) -> None:
    """Write the store `folder` from an edge list and arrays, block by block.

    edges: as for `read_edges`. features: `.npy` (N, F). labels: `.npy` (N,). Raises DataError with file and line, or
    row.
    """
    x = read_array(features, mapped=True)
    y = None if labels is None else read_array(labels, mapped=True)
    half = x.dtype == np.float16
    kind = np.float16 if half else np.float32
    check_table(x, str(features))
    if y is not None and len(as_labels(y, str(labels))) != len(x):
        raise DataError(f"{labels} has {len(y)} rows, but {features} has {len(x)}")

    def blocks() -> Iterator[Edges]:
        for pairs, _ in edge_blocks(edges, len(x), features):
            yield np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])

    def rows(start: int, end: int) -> Any:
        return as_features(x[start:end], str(features), first=start, dtype=kind)

    known: Callable[[int, int], Any] | None = None if y is None else lambda start, end: y[start:end]
    write_store(folder, edges.stem, len(x), blocks, rows, x.shape[1], known, dtype="f16" if half else "f32")
