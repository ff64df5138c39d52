"""Graph-classification sets in TU Dortmund's layout: `NAME_A.txt`, `NAME_graph_indicator.txt` and so on."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from espalier.core.errors import DataError
from espalier.graph.data.columns import read_integers
from espalier.graph.data.graph import Graph, symmetric

DEGREE_CAP = 400
"""Degrees from here on share one feature."""


def read_tu(raw: Path, name: str) -> Graph:
    """All graphs of the set, side by side. Features: one-hot node labels, or degrees where there is at most one label.

    Raises DataError by file and line.
    """
    member = torch.from_numpy(read_integers(raw / f"{name}_graph_indicator.txt", 1)[:, 0]) - 1
    edges = torch.from_numpy(read_integers(raw / f"{name}_A.txt", 2)) - 1
    labels = torch.from_numpy(read_integers(raw / f"{name}_graph_labels.txt", 1)[:, 0])
    if bool((member.diff() < 0).any()) or int(member.min()) < 0 or int(member.max()) >= labels.numel():
        line = int(((member.diff(prepend=member[:1]) < 0) | (member < 0) | (member >= labels.numel())).nonzero()[0]) + 1
        raise DataError(f"{raw}/{name}_graph_indicator.txt:{line}: graph numbers must rise from 1 to {labels.numel()}")
    adj = symmetric(edges[:, 0], edges[:, 1], member.numel(), f"{raw}/{name}_A.txt")
    across = (member[adj.rows] != member[adj.columns]).nonzero()
    if across.numel():
        a, b = int(adj.rows[across[0]]) + 1, int(adj.columns[across[0]]) + 1
        raise DataError(f"{raw}/{name}_A.txt: an edge joins nodes {a} and {b} of different graphs")
    ptr = torch.zeros(labels.numel() + 1, dtype=torch.int64)
    torch.cumsum(torch.bincount(member, minlength=labels.numel()), 0, out=ptr[1:])
    y = torch.unique(labels, return_inverse=True)[1]
    return Graph(adj, _features(raw, name, adj.degree), y, ptr=ptr, name=name)


def _features(raw: Path, name: str, degree: Tensor) -> Tensor:
    file = raw / f"{name}_node_labels.txt"
    if file.is_file():
        kinds = torch.from_numpy(read_integers(file, 1)[:, 0])
        if kinds.numel() != degree.numel():
            raise DataError(f"{file} labels {kinds.numel()} nodes, but there are {degree.numel()}")
        values, place = torch.unique(kinds, return_inverse=True)
        if values.numel() > 1:
            return F.one_hot(place).float()
    return F.one_hot(degree.clamp(max=DEGREE_CAP)).float()
