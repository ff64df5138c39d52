"""Generated graphs, for a first run without files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch

from espalier.core.seed import np_rng
from espalier.graph.config import PLANTED
from espalier.graph.data.graph import Graph, symmetric
from espalier.graph.data.shares import PER_CLASS


def planted_partition(
    *,
    nodes: int = 1000,
    classes: int = 5,
    degree: float = 6.0,
    inside: float = 0.5,
    width: int = 64,
    signal: float = 0.2,
    seed: int = 0,
) -> Graph:
    """A planted partition with Gaussian features.

    Node k has class `k % classes`. About `degree * nodes / 2` edges are drawn; a share `inside` of them connects two
    nodes of one class, the others connect nodes of any class. Features (nodes, width) are `signal` times the mean of
    the class, which is normal, plus normal noise. Split: 20 nodes of each class train, 30 validate, the rest test.
    Source: the planted partition of Condon and Karp (2001); features and sizes are ours.
    """
    rng = np_rng(seed, "planted partition")
    label = np.arange(nodes) % classes
    means = rng.standard_normal((classes, width))
    x = signal * means[label] + rng.standard_normal((nodes, width))
    edges = round(degree * nodes / 2)
    source, other = rng.integers(nodes, size=edges), rng.integers(nodes, size=edges)
    own = other // classes * classes + label[source]
    own[own >= nodes] -= classes
    target = np.where(rng.random(edges) < inside, own, other)
    adj = symmetric(torch.from_numpy(source), torch.from_numpy(target), nodes, PLANTED)
    rank = np.empty(nodes, np.int64)
    for one in range(classes):
        rank[rng.permutation(np.flatnonzero(label == one))] = np.arange(np.count_nonzero(label == one))
    train, val = PER_CLASS
    masks = {"train": rank < train, "val": (rank >= train) & (rank < train + val), "test": rank >= train + val}
    splits = {name: torch.from_numpy(mask) for name, mask in masks.items()}
    return Graph(adj, torch.from_numpy(x.astype(np.float32)), torch.from_numpy(label), splits, name=PLANTED)


GENERATED: Mapping[str, Callable[[], Graph]] = MappingProxyType({PLANTED: planted_partition})
"""Generated graphs by name."""
