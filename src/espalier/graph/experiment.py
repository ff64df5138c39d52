"""One experiment: load, split, train, judge. What a job, a table's cell and a notebook share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from espalier.core.data import DataRoot
from espalier.core.errors import ConfigError
from espalier.graph.config import DataConfig, PretrainConfig
from espalier.graph.data.graph import Graph
from espalier.graph.data.load import load
from espalier.graph.data.splits import per_class_split, public_split, random_split
from espalier.graph.methods.api import Method
from espalier.graph.methods.baselines import Classifier
from espalier.graph.methods.build import build_method
from espalier.graph.parallel import Share
from espalier.graph.sampling.clusters import Clusters
from espalier.graph.tasks.config import LinkConfig, OwnConfig, SVMConfig
from espalier.graph.tasks.evaluate import judge
from espalier.graph.tasks.links import Links, split_links
from espalier.graph.tasks.svm import pool
from espalier.graph.train.batches import Batches, Members, Whole
from espalier.graph.train.fit import Trainer

TRAINS_NOTHING = ("random", "raw")
"""Methods that are only judged."""


@dataclass
class Experiment:
    """One seed of a recipe, ready to train: `trainer.fit()`, then `evaluate()`.

    graph: with its split; for link prediction with the training edges only.
    """

    config: PretrainConfig
    graph: Graph
    method: Method
    trainer: Trainer
    seed: int
    links: Links | None = None

    @classmethod
    def prepare(cls, config: PretrainConfig, seed: int, *, root: DataRoot | None = None) -> Experiment:
        """Load and split the data, draw the weights. Raises ConfigError where recipe and data do not fit."""
        graph = load(config.data.name, root=root, normalise=config.data.normalise)
        _check(config, graph)
        links = split_links(graph, seed) if isinstance(config.evaluate, LinkConfig) else None
        if links is not None:
            graph = links.graph
        elif graph.ptr is None and _reads_split(config):
            graph = replace(graph, splits=split(graph, config.data, seed))
        method = build_method(config.method, graph.n_features, graph.n_classes, seed)
        batches = make_batches(graph, config)
        return cls(config, graph, method, Trainer(method, batches, config.fit, seed), seed, links)

    def embeddings(self) -> Tensor:
        """(N, H) of the nodes; of a set of graphs (G, H), pooled."""
        batches = self.trainer.batches
        if isinstance(batches, Clusters):
            return torch.cat([self.method.embed(batch) for batch in batches.around(torch.arange(self.graph.n_nodes))])
        z = self.method.embed(self.graph)
        how = self.config.evaluate
        if self.graph.ptr is None:
            return z
        return pool(z, self.graph, how.pooling if isinstance(how, SVMConfig) else "mean")

    def evaluate(self) -> dict[str, float]:
        """The figures of the recipe's evaluation; `score` is the headline."""
        how = self.config.evaluate
        if isinstance(how, OwnConfig):
            assert isinstance(self.method, Classifier)
            return {"score": self.method.accuracy(self.graph, "test"), "val": self.method.accuracy(self.graph, "val")}
        return judge(how, self.embeddings(), self.graph, self.seed, self.links)


def run_experiment(
    config: PretrainConfig,
    seed: int,
    *,
    root: DataRoot | None = None,
    after_epoch: Callable[[int, float], bool] | None = None,
) -> dict[str, float]:
    """Train one seed of the recipe and return its figures."""
    experiment = Experiment.prepare(config, seed, root=root)
    if config.method.name not in TRAINS_NOTHING:
        experiment.trainer.fit(after_epoch)
    return experiment.evaluate()


def make_batches(graph: Graph, config: PretrainConfig, share: Share | None = None) -> Batches:
    """The whole graph; or so many graphs of a set, or contexts of a graph, at a time, of which `share` is taken."""
    size, share = config.fit.batch_size, share or Share()
    if size == 0 and not share.alone:
        raise ConfigError("fit.batch_size: several processes share mini-batches: give it a number")
    if size == 0:
        return Whole(graph)
    return Clusters(graph, size, config.context, share) if graph.ptr is None else Members(graph, size, share)


def split(graph: Graph, config: DataConfig, seed: int) -> dict[str, Tensor]:
    """The masks that `config` asks for."""
    match config.split:
        case "public":
            return dict(public_split(graph))
        case "random":
            return dict(random_split(graph, seed, config.train, config.val))
        case "per_class":
            return dict(per_class_split(graph, seed, int(config.train), int(config.val)))


def _reads_split(config: PretrainConfig) -> bool:
    return config.evaluate.kind not in ("clusters", "few_shot") or config.method.name in ("supervised", "scr")


def _check(config: PretrainConfig, graph: Graph) -> None:
    kind, classifier = config.evaluate.kind, config.method.name in ("supervised", "scr")
    if (graph.ptr is not None) != (kind == "svm"):
        what = "a set of graphs" if graph.ptr is not None else "one graph"
        raise ConfigError(
            f"evaluate.kind: {graph.name} is {what}, which {kind!r} does not judge; 'svm' is for sets of graphs"
        )
    if kind == "own" and not classifier:
        raise ConfigError(f"evaluate.kind: method {config.method.name!r} has no classifier of its own; take 'linear'")
    if classifier and kind in ("links", "svm"):
        raise ConfigError(f"evaluate.kind: method {config.method.name!r} learns from node labels; take 'own'")
    if config.evaluate.kind != "links" and graph.y is None:
        raise ConfigError(f"evaluate.kind: {graph.name} has no labels; only 'links' does without")
    if config.method.name == "pgt" and (config.fit.batch_size == 0 or graph.ptr is not None):
        raise ConfigError("fit.batch_size: pgt reads contexts of one graph, so many at a time: give it a number")
    if classifier and config.fit.batch_size:
        raise ConfigError(f"fit.batch_size: method {config.method.name!r} is trained on the whole graph: leave it at 0")


def use_threads(number: int) -> None:
    """Let torch and the kernels use so many threads in this process."""
    torch.set_num_threads(number)
