"""Graphs from an edge list, CSV or Parquet, with features and labels in files beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from espalier.core.errors import DataError, MissingExtraError
from espalier.graph.data.columns import read_integers
from espalier.graph.data.graph import Graph, symmetric
from espalier.graph.ops.features import pack

DEGREES = 64
"""Width of the degree features of a graph that has none."""


def read_edges(file: Path, features: Path | None = None, labels: Path | None = None) -> Graph:
    """The undirected graph of the node numbers in the first two columns of `file`.

    A CSV may begin with a header line. features: `.npy` (N, F); without one, degrees on a logarithmic scale stand in.
    labels: `.npy` (N,), or a text file with one number a line; -1 is unknown. Raises DataError by file and line.
    """
    pairs = torch.from_numpy(_parquet(file) if file.suffix == ".parquet" else _csv(file))
    x = None if features is None else torch.from_numpy(_array(features)).float()
    y = None if labels is None else torch.from_numpy(_array(labels)).long()
    n = int(pairs.max()) + 1 if pairs.numel() else 0
    for given, path in ((x, features), (y, labels)):
        if given is not None:
            if given.shape[0] < n:
                raise DataError(f"{path} has {given.shape[0]} rows, but {file} names node {n - 1}")
            n = given.shape[0]
    adj = symmetric(pairs[:, 0], pairs[:, 1], n, str(file))
    if x is None:
        level = torch.log2(adj.degree.float() + 1).mul(4).long().clamp(max=DEGREES - 1)
        x = F.one_hot(level, DEGREES).float()
    if x.shape[0] != n:
        raise DataError(f"{features} has {x.shape[0]} rows for {n} nodes")
    return Graph(adj, pack(x), y, name=file.stem)


def _csv(file: Path) -> Any:
    if not file.is_file():
        raise DataError(f"there is no {file}")
    with file.open() as lines:
        first = lines.readline()
    words = first.replace(",", " ").split()
    if words and not words[0].lstrip("-").isdigit() and not first.startswith(("#", "%")):
        body = file.read_text().split("\n", 1)[1]
        return _with_header(file, body)
    return read_integers(file, 2)


def _with_header(file: Path, body: str) -> Any:
    rows = []
    for number, line in enumerate(body.split("\n"), 2):
        words = line.replace(",", " ").split()
        if not words:
            continue
        try:
            rows.append((int(words[0]), int(words[1])))
        except (ValueError, IndexError):
            raise DataError(f"{file}:{number}: {line.strip()!r} does not begin with two node numbers") from None
    return np.array(rows, dtype=np.int64).reshape(-1, 2)


def _parquet(file: Path) -> Any:
    try:
        import pyarrow.parquet as parquet
    except ModuleNotFoundError as error:
        raise MissingExtraError("pyarrow", "graph") from error
    try:
        table = parquet.read_table(file)
        columns = [table.column(k).to_numpy() for k in range(2)]
        return np.stack([column.astype(np.int64, casting="safe") for column in columns], 1)
    except FileNotFoundError:
        raise DataError(f"there is no {file}") from None
    except Exception as error:  # pyarrow raises many kinds
        raise DataError(f"{file}: its first two columns are not whole node numbers ({error})") from None


def _array(file: Path) -> Any:
    if not file.is_file():
        raise DataError(f"there is no {file}")
    if file.suffix != ".npy":
        return read_integers(file, 1)[:, 0]
    try:
        return np.load(file, allow_pickle=False)
    except ValueError as error:
        raise DataError(f"{file}: this is no array of numbers ({error})") from None
