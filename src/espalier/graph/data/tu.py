"""Graph-classification sets in TU Dortmund's layout: `NAME_A.txt`, `NAME_graph_indicator.txt` and so on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from espalier.core.errors import DataError
from espalier.graph.data.columns import read_integers
from espalier.graph.data.graph import Graph, symmetric, warn_unread

DEGREE_CAP = 400
"""Degrees of this size and above share one feature."""


def read_tu(raw: Path, name: str) -> Graph:
    """All graphs of the set, as a set of graphs. Features: one-hot node labels, or degrees if there is at most one
    label.

    Raises DataError with file and line.
    """
    labels = torch.from_numpy(read_integers(raw / f"{name}_graph_labels.txt", 1).values[:, 0])
    member = _members(raw / f"{name}_graph_indicator.txt", labels.numel())
    edges = _edges(raw / f"{name}_A.txt", member)
    for part in ("edge_labels", "edge_attributes"):
        if (raw / f"{name}_{part}.txt").exists():
            warn_unread(str(raw), f"{name}_{part}.txt is")
    adj = symmetric(edges[:, 0], edges[:, 1], member.numel(), f"{raw}/{name}_A.txt")
    ptr = torch.zeros(labels.numel() + 1, dtype=torch.int64)
    torch.cumsum(torch.bincount(member, minlength=labels.numel()), 0, out=ptr[1:])
    y = torch.unique(labels, return_inverse=True)[1]
    return Graph(adj, _features(raw, name, adj.degree), y, ptr=ptr, name=name)


def _members(file: Path, graphs: int) -> Tensor:
    """(N,) the graph of each node, from 0."""
    numbers, lines = read_integers(file, 1)
    number = numbers[:, 0]
    step = np.diff(number, prepend=0)
    wrong = (step < 0) | (step > 1) | (number < 1) | (number > graphs)
    if wrong.any():
        row = int(wrong.argmax())
        raise DataError(
            f"{file}:{lines[row]}: graph numbers must rise from 1 to {graphs}, each with a node; found {number[row]}"
        )
    if number[-1] != graphs:
        raise DataError(f"{file}:{lines[-1]}: the last graph is {number[-1]}, but {graphs} have labels")
    return torch.from_numpy(number - 1)


def _edges(file: Path, member: Tensor) -> Tensor:
    """(E, 2) node numbers from 0."""
    numbers, lines = read_integers(file, 2)
    n = member.numel()
    bad = ((numbers < 1) | (numbers > n)).any(1)
    if bad.any():
        row = int(bad.argmax())
        a, b = numbers[row]
        raise DataError(f"{file}:{lines[row]}: an edge joins nodes {a} and {b}, but there are only {n} nodes")
    edges = torch.from_numpy(numbers - 1)
    across = (member[edges[:, 0]] != member[edges[:, 1]]).nonzero()
    if across.numel():
        row = int(across[0])
        a, b = numbers[row]
        raise DataError(f"{file}:{lines[row]}: an edge joins nodes {a} and {b} of different graphs")
    return edges


def _features(raw: Path, name: str, degree: Tensor) -> Tensor:
    file = raw / f"{name}_node_labels.txt"
    if file.is_file():
        kinds = torch.from_numpy(read_integers(file, 1).values[:, 0])
        if kinds.numel() != degree.numel():
            raise DataError(f"{file} labels {kinds.numel()} nodes, but there are {degree.numel()}")
        values, place = torch.unique(kinds, return_inverse=True)
        if values.numel() > 1:
            return F.one_hot(place).float()
    return F.one_hot(degree.clamp(max=DEGREE_CAP)).float()
