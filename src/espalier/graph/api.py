"""The public functions of the graph package, for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from espalier.graph.config import PretrainConfig
from espalier.graph.data.graph import Graph
from espalier.graph.data.load import load
from espalier.graph.data.splits import check_split
from espalier.graph.encoder import Encoder, load_encoder
from espalier.graph.methods.build import build_method
from espalier.graph.methods.config import AnyMethod
from espalier.graph.parallel import torchrun_share
from espalier.graph.preparation import check_training, make_batches
from espalier.graph.tasks.probe import Probed, linear_probe
from espalier.graph.train.fit import Trainer

__all__ = ["Encoder", "Graph", "load", "load_encoder", "load_method", "pretrain", "probe"]

load_method = load_encoder
"""The name of `load_encoder` in model cards of earlier versions."""


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
    section, such as `epochs` and `lr`. context: keys of a recipe's `context` section. Under torchrun the processes
    train one method together, each on its share of every mini-batch, and all return it. Raises ConfigError for a wrong
    key or value.
    """
    section = {"name": method, **(settings or {})} if isinstance(method, str) else method.model_dump()
    config = PretrainConfig.of(data={"name": graph.name}, method=section, fit=fit, context=dict(context or {}))
    check_training(config, graph)
    built = build_method(config.method, graph.n_features, graph.n_classes, seed)
    with torchrun_share() as share:
        Trainer(built, make_batches(graph, config, share), config.fit, seed, share).fit()
    return Encoder.of(built, config, graph, seed)


def probe(z: Tensor, graph: Graph, **settings: Any) -> Probed:
    """Accuracy of a linear probe on z (N, H), with the graph's labels and splits. settings: as in `linear_probe`.

    Raises DataError if the split cannot be used for training and testing: `espalier.graph.data.splits` creates one.
    """
    check_split(graph)
    assert graph.y is not None
    return linear_probe(z, graph.y, graph.splits, **settings)
