"""Prepares the graph for training and evaluation from a recipe's data section."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from espalier.core.errors import ConfigError
from espalier.graph.config import DataConfig, PretrainConfig
from espalier.graph.data.graph import Graph
from espalier.graph.data.splits import check_split, per_class_split, public_split, random_split
from espalier.graph.parallel import Share
from espalier.graph.sampling.clusters import Clusters
from espalier.graph.tasks.config import LinkConfig
from espalier.graph.tasks.links import Links, split_links
from espalier.graph.train.batches import Batches, Members, Whole

CLASSIFIERS = ("supervised", "scr")
"""Methods that learn from labels."""


def as_judged(graph: Graph, config: PretrainConfig, seed: int) -> tuple[Graph, Links | None]:
    """The graph with the recipe's split; for link prediction with the training edges only, and the held-out edges."""
    if isinstance(config.evaluate, LinkConfig):
        links = split_links(graph, seed)
        return links.graph, links
    if graph.ptr is not None or config.data.split == "public":
        return graph, None
    return replace(graph, splits=split(graph, config.data, seed)), None


def split(graph: Graph, config: DataConfig, seed: int) -> dict[str, Tensor]:
    """The masks for `config`."""
    match config.split:
        case "public":
            return dict(public_split(graph))
        case "random":
            return dict(random_split(graph, seed, *config.shares))
        case "per_class":
            train, val = config.shares
            return dict(per_class_split(graph, seed, int(train), int(val)))


def make_batches(graph: Graph, config: PretrainConfig, share: Share | None = None) -> Batches:
    """Batches of the whole graph, of graphs of a set, or of contexts of a graph. `share` selects this process's
    part.
    """
    size, share = config.fit.batch_size, share or Share()
    if size == 0 and not share.alone:
        raise ConfigError("fit.batch_size: training in several processes needs mini-batches: set it above 0")
    if size == 0:
        return Whole(graph)
    return Clusters(graph, size, config.context, share) if graph.ptr is None else Members(graph, size, share)


def check_training(config: PretrainConfig, graph: Graph) -> None:
    """Raises ConfigError or DataError if the method cannot be trained on the graph."""
    name, size = config.method.name, config.fit.batch_size
    if name == "pgt" and (size == 0 or graph.ptr is not None):
        raise ConfigError(
            "fit.batch_size: pgt trains on contexts of one graph: set it to the number of contexts in a mini-batch"
        )
    if name not in CLASSIFIERS:
        return
    if size:
        raise ConfigError(f"fit.batch_size: method {name!r} is trained on the whole graph: leave it at 0")
    check_split(graph)


def check_judging(config: PretrainConfig, graph: Graph) -> None:
    """Raises ConfigError if the recipe's evaluation does not fit the graph or the method."""
    kind, classifier = config.evaluate.kind, config.method.name in CLASSIFIERS
    if (graph.ptr is not None) != (kind == "svm"):
        what = "a set of graphs" if graph.ptr is not None else "one graph"
        raise ConfigError(
            f"evaluate.kind: {graph.name} is {what}, which {kind!r} cannot evaluate; 'svm' is for sets of graphs"
        )
    if kind == "own" and not classifier:
        raise ConfigError(f"evaluate.kind: method {config.method.name!r} has no classifier of its own; take 'linear'")
    if classifier and kind in ("links", "svm"):
        raise ConfigError(f"evaluate.kind: method {config.method.name!r} learns from node labels; take 'own'")
    if kind != "links" and graph.y is None:
        raise ConfigError(f"evaluate.kind: {graph.name} has no labels; only 'links' needs none")


def reads_split(config: PretrainConfig) -> bool:
    """Whether the evaluation trains and tests on different nodes."""
    return config.evaluate.kind in ("linear", "logistic", "knn", "own")
