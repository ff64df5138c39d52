"""One experiment: load, split, train, evaluate. Shared by jobs, tables and notebooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from espalier.core.data import DataRoot
from espalier.graph.config import PretrainConfig
from espalier.graph.data.graph import Graph
from espalier.graph.data.load import load
from espalier.graph.data.splits import check_split
from espalier.graph.encoder import Encoder
from espalier.graph.methods.api import Method
from espalier.graph.methods.baselines import Classifier
from espalier.graph.methods.build import build_method
from espalier.graph.preparation import as_judged, check_judging, check_training, make_batches, reads_split
from espalier.graph.tasks.config import OwnConfig
from espalier.graph.tasks.evaluate import judge
from espalier.graph.tasks.links import Links
from espalier.graph.train.fit import Trainer

TRAINS_NOTHING = ("random", "raw")
"""Methods that are only evaluated, not trained."""


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
        """Load and split the data, initialise the weights. Raises ConfigError if recipe and data do not fit."""
        graph = load(config.data.name, root=root, normalise=config.data.normalise)
        check_judging(config, graph)
        graph, links = as_judged(graph, config, seed)
        if reads_split(config):
            check_split(graph)
        check_training(config, graph)
        method = build_method(config.method, graph.n_features, graph.n_classes, seed)
        batches = make_batches(graph, config)
        return cls(config, graph, method, Trainer(method, batches, config.fit, seed), seed, links)

    @property
    def encoder(self) -> Encoder:
        """The method with everything that is needed to embed a graph."""
        return Encoder.of(self.method, self.config, self.graph, self.seed)

    def embeddings(self) -> Tensor:
        """(N, H) of the nodes; for a set of graphs (G, H), pooled."""
        return self.encoder.embed(self.graph)

    def evaluate(self) -> dict[str, float]:
        """The results of the recipe's evaluation; `score` is the main one."""
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
    """Train one seed of the recipe and return its results."""
    experiment = Experiment.prepare(config, seed, root=root)
    if config.method.name not in TRAINS_NOTHING:
        experiment.trainer.fit(after_epoch)
    return experiment.evaluate()


def use_threads(number: int) -> None:
    """Let torch and the kernels use so many threads in this process."""
    torch.set_num_threads(number)
