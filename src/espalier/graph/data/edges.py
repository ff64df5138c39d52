"""Graphs from an edge list, CSV or Parquet, with features and labels in separate files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from espalier.core.errors import DataError, MissingExtraError
from espalier.graph.data.arrays import as_features, as_labels, read_array
from espalier.graph.data.columns import number_blocks, read_integers, shorter, sniffed
from espalier.graph.data.graph import Graph, symmetric, warn_unread
from espalier.graph.ops.features import pack

DEGREES = 64
"""Width of the degree features of a graph without features."""
NAMES = (("source", "target"), ("src", "dst"), ("from", "to"), ("u", "v"))
"""Names of the two columns of an edge in a header."""
SPARSE_IDS = 10
"""Node ids are rejected if there are this many times more of them than ends of edges ..."""
FEW = 100_000
"""... and more than this, unless features or labels give the number of nodes."""


class Edges(NamedTuple):
    """pairs: (k, 2) int64. where: the location of a row in the file, for messages."""

    pairs: Any
    where: Callable[[int], str]


def read_edges(file: Path, features: Path | None = None, labels: Path | None = None) -> Graph:
    """The undirected graph of the node ids in the first two columns of `file`; a warning names the other columns.

    A CSV may begin with a header. Columns named source and target (`NAMES`), in a CSV or Parquet file, take precedence.
    features: `.npy` (N, F); without it, degrees on a logarithmic scale are used. labels: `.npy` (N,), or a text file
    with one number per line; -1 is unknown. Raises DataError with file and line.
    """
    x = None if features is None else torch.from_numpy(as_features(read_array(features), str(features)))
    y = None if labels is None else torch.from_numpy(as_labels(_labels(labels), str(labels)))
    if x is not None and y is not None and x.shape[0] != y.shape[0]:
        raise DataError(f"{features} has {x.shape[0]} rows, but {labels} has {y.shape[0]}")
    given = next(((len(rows), path) for rows, path in ((x, features), (y, labels)) if rows is not None), None)
    parts, largest, place = [], -1, ""
    for pairs, where in edge_blocks(file, *(given or (None, None))):
        parts.append(pairs)
        if pairs.size and int(pairs.max()) > largest:
            largest, place = int(pairs.max()), where(int(pairs.max(1).argmax()))
    ends = torch.from_numpy(np.concatenate(parts))
    if given is None and largest >= max(FEW, SPARSE_IDS * ends.numel()):
        raise DataError(
            f"{place}: node {largest} in a file of {len(ends)} edges: node numbers are not dense. "
            "Number the nodes from 0 on, or give features"
        )
    n = largest + 1 if given is None else given[0]
    adj = symmetric(ends[:, 0], ends[:, 1], n, str(file))
    if x is None:
        level = torch.log2(adj.degree.float() + 1).mul(4).long().clamp(max=DEGREES - 1)
        x = F.one_hot(level, DEGREES).float()
    return Graph(adj, pack(x), y, name=file.stem)


def edge_blocks(file: Path, nodes: int | None = None, counted: Path | None = None) -> Iterator[Edges]:
    """The edges of a CSV or Parquet file, block by block. nodes: number of nodes, which is that of the rows of
    `counted`.

    Raises DataError, with file and line or row, if an edge is not a pair of integers from 0 to `nodes` - 1, or if there
    is no edge.
    """
    if not file.is_file():
        raise DataError(f"there is no {file}")
    empty = True
    for pairs, where in _parquet(file) if file.suffix == ".parquet" else _text(file):
        if pairs.size and (int(pairs.min()) < 0 or (nodes is not None and int(pairs.max()) >= nodes)):
            raise DataError(_no_such_node(pairs, where, nodes, counted))
        empty = empty and not pairs.size
        yield Edges(pairs, where)
    if empty:
        raise DataError(f"{file} has no edges")


def _no_such_node(pairs: Any, where: Callable[[int], str], nodes: int | None, counted: Path | None) -> str:
    bad = (pairs < 0) | (False if nodes is None else pairs >= nodes)
    row = int(bad.any(1).argmax())
    known = "the first node is 0" if nodes is None else f"{counted} has rows for nodes 0 to {nodes - 1}"
    return f"{where(row)}: there is no node {int(pairs[row][bad[row]][0])}: {known}"


def _text(file: Path) -> Iterator[Edges]:
    form = sniffed(file, NAMES)
    if form is None:
        return
    if form.count < 2:
        raise DataError(f"{file}:{form.first}: one column, where the two ends of an edge are needed")
    _warn(f"{file}:{form.first}", form.names or range(1, form.count + 1), form.wanted)
    for rows in number_blocks(file, form):
        yield Edges(rows.values, partial(_line, file, rows.lines))


def _warn(where: str, columns: Sequence[str | int], wanted: Sequence[int]) -> None:
    if others := [str(column) for place, column in enumerate(columns) if place not in wanted]:
        is_or_are = "columns {} are" if len(others) > 1 else "column {} is"
        warn_unread(where, is_or_are.format(shorter(", ".join(others), 80)))


def _line(file: Path, lines: Any, row: int) -> str:
    return f"{file}:{int(lines[row])}"


def _row(file: Path, first: int, row: int) -> str:
    return f"{file}: row {first + row}"


def _parquet(file: Path) -> Iterator[Edges]:
    try:
        import pyarrow.parquet as parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow", "graph") from error
    first = 0
    try:
        opened = parquet.ParquetFile(file)
        names = [name.lower() for name in opened.schema_arrow.names]
        if len(names) < 2:
            raise DataError(f"{file}: one column, where the two ends of an edge are needed")
        called = next((pair for pair in NAMES if all(names.count(name) == 1 for name in pair)), tuple(names[:2]))
        places = [names.index(name) for name in called]
        _warn(str(file), opened.schema_arrow.names, places)
        for batch in opened.iter_batches():
            columns = [batch.column(place) for place in places]
            yield Edges(np.stack([_whole(column, file, first) for column in columns], 1), partial(_row, file, first))
            first += batch.num_rows
    except DataError:
        raise
    except Exception as error:  # pyarrow raises many kinds
        raise DataError(f"{file}: this cannot be read as Parquet ({error})") from None


def _whole(column: Any, file: Path, first: int) -> Any:
    """A column of node numbers (k,) as int64."""
    if column.null_count:
        row = int(np.argmax(column.is_null().to_numpy(zero_copy_only=False)))
        raise DataError(f"{file}: row {first + row} has a missing value instead of a node number")
    values = column.to_numpy(zero_copy_only=False)
    if values.dtype.kind not in "iu":
        raise DataError(f"{file}: its first two columns are not whole node numbers, but {column.type}")
    if values.size and int(values.max()) > np.iinfo(np.int64).max:
        raise DataError(f"{file}: row {first + int(values.argmax())} is too large a number")
    return values.astype(np.int64)


def _labels(file: Path) -> Any:
    return read_array(file) if file.suffix == ".npy" else read_integers(file, 1).values[:, 0]
