"""The graph room in five lines, for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from espalier.core.errors import ConfigError
from espalier.graph.config import PretrainConfig
from espalier.graph.data.graph import Graph
from espalier.graph.data.load import load
from espalier.graph.experiment import make_batches
from espalier.graph.export import load_method, save_method
from espalier.graph.methods.api import Method
from espalier.graph.methods.build import build_method
from espalier.graph.methods.config import AnyMethod
from espalier.graph.parallel import torchrun_share
from espalier.graph.sampling.clusters import Clusters
from espalier.graph.tasks.probe import Probed, linear_probe
from espalier.graph.train.fit import Trainer

__all__ = ["Encoder", "Graph", "load", "load_method", "pretrain", "probe"]


class Encoder:
    """A pretrained method, with what is needed to embed graphs and to write it down."""

    def __init__(self, method: Method, config: PretrainConfig, graph: Graph, seed: int) -> None:
        self.method, self.config, self.seed = method, config, seed
        self.graph = graph

    def embed(self, graph: Graph) -> Tensor:
        """(N, H) embeddings; by contexts, where the encoder was trained on them."""
        batches = make_batches(graph, self.config)
        if isinstance(batches, Clusters):
            return torch.cat([self.method.embed(batch) for batch in batches.around(torch.arange(graph.n_nodes))])
        return self.method.embed(graph)

    def save(self, folder: str | Path) -> None:
        """Write weights, settings and a card; `load_method` reads them."""
        facts = {"data": self.graph.name, "seed": self.seed, "fit": self.config.fit.model_dump()}
        sizes = self.graph.n_features, self.graph.n_classes
        save_method(self.method, self.config.method, Path(folder), *sizes, facts)


def pretrain(
    graph: Graph,
    method: str | AnyMethod = "graphmae",
    *,
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    context: Mapping[str, Any] | None = None,
    **fit: Any,
) -> Encoder:
    """Train a method on a graph.

    method: its name, with `settings` as in a recipe's `method` section, or a config. fit: keys of a recipe's `fit`
    section, such as `epochs` and `lr`. context: of a recipe's `context`. Under torchrun the processes train one method
    together, each on its share of every mini-batch, and all return it. Raises ConfigError for a wrong key or value.
    """
    section = {"name": method, **(settings or {})} if isinstance(method, str) else method.model_dump()
    config = PretrainConfig.of(data={"name": graph.name}, method=section, fit=fit, context=dict(context or {}))
    if config.method.name in ("supervised", "scr") and not graph.splits:
        raise ConfigError(f"{config.method.name} learns from labels: give the graph splits (`data.splits`) first")
    built = build_method(config.method, graph.n_features, graph.n_classes, seed)
    with torchrun_share() as share:
        Trainer(built, make_batches(graph, config, share), config.fit, seed, share).fit()
    return Encoder(built, config, graph, seed)


def probe(z: Tensor, graph: Graph, **settings: Any) -> Probed:
    """Accuracy of a linear probe on z (N, H), with the graph's labels and splits. settings: as `linear_probe`."""
    if graph.y is None or not graph.splits:
        raise ConfigError(f"{graph.name} has no labels or splits to probe with: see espalier.graph.data.splits")
    return linear_probe(z, graph.y, graph.splits, **settings)
