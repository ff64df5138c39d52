"""Splits into training, validation and test nodes, as in the published protocols."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from espalier.core.errors import DataError
from espalier.core.seed import np_rng
from espalier.graph.data.graph import Graph
from espalier.graph.data.shares import PER_CLASS, RANDOM, wrong_share

PARTS = ("train", "val", "test")


def public_split(graph: Graph) -> Mapping[str, Tensor]:
    """The split that comes with the data. Raises DataError if there is none."""
    if not set(PARTS) <= set(graph.splits):
        raise DataError(f"{graph.name} comes without a public split: set data.split=random or data.split=per_class")
    return graph.splits


def random_split(graph: Graph, seed: int, train: float = RANDOM[0], val: float = RANDOM[1]) -> Mapping[str, Tensor]:
    """Shares of the labelled nodes, drawn with `seed`; the rest are test nodes. Errors as in `check_split`."""
    if wrong := wrong_share("random", train, val):
        raise DataError(wrong)
    known = _labelled(graph)
    order = known[torch.from_numpy(np_rng(seed, "split", graph.name).permutation(known.numel()))]
    a, b = round(train * order.numel()), round((train + val) * order.numel())
    return _checked(graph, order[:a], order[a:b], order[b:])


def per_class_split(
    graph: Graph, seed: int, train: int = PER_CLASS[0], val: int = PER_CLASS[1]
) -> Mapping[str, Tensor]:
    """`train` nodes of each class to train, `val` to validate, the rest to test. Raises DataError if a class has too
    few.
    """
    if wrong := wrong_share("per_class", train, val):
        raise DataError(wrong)
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
    return _checked(graph, *parts)


def check_split(graph: Graph) -> None:
    """Raises DataError, with advice, if the graph's split cannot be used for training and testing.

    The masks `train`, `val` and `test` are (N,) bool, not empty and disjoint, and every node in them has a label. Every
    class that occurs in one of them has a training node, and there are at least two classes.
    """
    masks = public_split(graph)
    y, n = graph.y, graph.n_nodes
    if y is None or y.numel() != n:
        raise DataError(f"{graph.name} has no node labels, so its split is empty")
    for part in PARTS:
        mask = masks[part]
        if mask.dtype != torch.bool or mask.shape != (n,):
            found = f"{mask.dtype} of {tuple(mask.shape)}"
            raise DataError(f"{graph.name}: the mask {part!r} is {found}, not bool of ({n},)")
        if not bool(mask.any()):
            raise DataError(f"{graph.name}: its split has no {part} nodes: use larger shares")
        if bool((mask & (y < 0)).any()):
            node = int((mask & (y < 0)).nonzero()[0])
            raise DataError(f"{graph.name}: node {node} is one of the {part} nodes, but has no label")
    for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
        both = (masks[first] & masks[second]).nonzero()
        if both.numel():
            raise DataError(f"{graph.name}: node {int(both[0])} is among the {first} nodes and the {second} nodes")
    taught = torch.bincount(y[masks["train"]], minlength=graph.n_classes) > 0
    asked = torch.bincount(y[masks["train"] | masks["val"] | masks["test"]], minlength=graph.n_classes) > 0
    if bool((asked & ~taught).any()):
        label = int((asked & ~taught).nonzero()[0])
        raise DataError(f"{graph.name}: class {label} has no training node: use a larger share, or `split: per_class`")
    if int(taught.sum()) < 2:
        raise DataError(f"{graph.name}: all nodes of its split are of one class, so there is nothing to classify")


def _labelled(graph: Graph) -> Tensor:
    if graph.y is None or graph.y.numel() != graph.n_nodes:
        raise DataError(f"{graph.name} has no node labels, so there is nothing to split")
    return (graph.y >= 0).nonzero().squeeze(1)


def _checked(graph: Graph, *parts: Tensor) -> Mapping[str, Tensor]:
    masks = {}
    for name, nodes in zip(PARTS, parts, strict=True):
        masks[name] = torch.zeros(graph.n_nodes, dtype=torch.bool)
        masks[name][nodes] = True
    check_split(replace(graph, splits=masks))
    return masks
