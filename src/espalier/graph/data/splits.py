"""Which nodes train, validate and test, as each published protocol says."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from espalier.core.errors import DataError
from espalier.core.seed import np_rng
from espalier.graph.data.graph import Graph


def public_split(graph: Graph) -> Mapping[str, Tensor]:
    """The split that came with the data. Raises DataError where there is none."""
    if set(graph.splits) < {"train", "val", "test"}:
        raise DataError(f"{graph.name} comes without a public split: take `split: random` or `split: per_class`")
    return graph.splits


def random_split(graph: Graph, seed: int, train: float = 0.1, val: float = 0.1) -> Mapping[str, Tensor]:
    """Shares of the labelled nodes, drawn by `seed`: 10/10/80 is the protocol of Amazon and Coauthor."""
    known = _labelled(graph)
    order = known[torch.from_numpy(np_rng(seed, "split", graph.name).permutation(known.numel()))]
    a, b = round(train * order.numel()), round((train + val) * order.numel())
    return _masks(graph.n_nodes, order[:a], order[a:b], order[b:])


def per_class_split(graph: Graph, seed: int, train: int = 20, val: int = 30) -> Mapping[str, Tensor]:
    """So many nodes of each class to train, so many to validate, the rest to test."""
    known = _labelled(graph)
    order = known[torch.from_numpy(np_rng(seed, "split", graph.name).permutation(known.numel()))]
    assert graph.y is not None
    groups = [order[graph.y[order] == label] for label in range(graph.n_classes)]
    small = [label for label, group in enumerate(groups) if 0 < group.numel() <= train + val]
    if small:
        raise DataError(f"{graph.name}: class {small[0]} has too few nodes for {train} to train and {val} to validate")
    parts = [
        torch.cat([group[a:b] for group in groups]) for a, b in ((0, train), (train, train + val), (train + val, None))
    ]
    return _masks(graph.n_nodes, *parts)


def _labelled(graph: Graph) -> Tensor:
    if graph.y is None or graph.y.numel() != graph.n_nodes:
        raise DataError(f"{graph.name} has no node labels, so there is nothing to split")
    return (graph.y >= 0).nonzero().squeeze(1)


def _masks(n: int, *parts: Tensor) -> Mapping[str, Tensor]:
    masks = {}
    for name, nodes in zip(("train", "val", "test"), parts, strict=True):
        masks[name] = torch.zeros(n, dtype=torch.bool)
        masks[name][nodes] = True
    return masks
