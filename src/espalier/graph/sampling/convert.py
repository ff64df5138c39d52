"""From an edge list of any length to a store, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from espalier.core.errors import DataError, MissingExtraError
from espalier.graph.sampling.store import Edges, write_store


def convert(edges: Path, features: Path, folder: Path, labels: Path | None = None) -> None:
    """Write the store `folder` from an edge list and arrays, block by block.

    edges: node numbers in the first two columns of a CSV, with or without a header line, or of a Parquet file.
    features: `.npy` (N, F). labels: `.npy` (N,). Raises DataError by file.
    """
    x = _mapped(features, 2)
    y = None if labels is None else _mapped(labels, 1)
    if y is not None and len(y) != len(x):
        raise DataError(f"{labels} has {len(y)} rows, but {features} has {len(x)}")
    if not edges.is_file():
        raise DataError(f"there is no {edges}")
    read = _parquet if edges.suffix == ".parquet" else _csv
    rows: Callable[[int, int], Any] | None = None if y is None else lambda a, b: y[a:b]
    dtype = "f16" if x.dtype == np.float16 else "f32"
    write_store(folder, edges.stem, len(x), lambda: read(edges), lambda a, b: x[a:b], x.shape[1], rows, dtype=dtype)


def _parquet(file: Path) -> Iterator[Edges]:
    try:
        from pyarrow import parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow", "graph") from error
    yield from _pairs(file, parquet.ParquetFile(file).iter_batches())


def _csv(file: Path) -> Iterator[Edges]:
    try:
        from pyarrow import csv
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow", "graph") from error
    with file.open() as lines:
        first = lines.readline()
    separator = next((s for s in ",\t; " if s in first.strip()), ",")
    named = not first.split(separator)[0].strip().lstrip("-").isdigit()
    options = csv.ReadOptions(autogenerate_column_names=not named, block_size=1 << 24)
    try:
        yield from _pairs(file, csv.open_csv(file, options, csv.ParseOptions(delimiter=separator)))
    except (ValueError, OSError) as error:
        raise DataError(f"{file}: {error}") from None


def _pairs(file: Path, batches: Any) -> Iterator[Edges]:
    for number, batch in enumerate(batches):
        columns = [batch.column(k).to_numpy(zero_copy_only=False) for k in range(2)]
        if any(not np.issubdtype(column.dtype, np.integer) for column in columns):
            raise DataError(f"{file}: block {number}: the first two columns are not whole node numbers without gaps")
        source, target = (np.ascontiguousarray(column, dtype=np.int64) for column in columns)
        yield source, target


def _mapped(file: Path, dimensions: int) -> Any:
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{file}: this is no array of numbers ({error})") from None
    if array.ndim != dimensions:
        raise DataError(f"{file}: expected {dimensions} dimensions, found {array.ndim}")
    return array
