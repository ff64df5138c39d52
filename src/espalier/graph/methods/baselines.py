"""Baselines of self-supervision: labels, a random encoder, and no encoder."""

from __future__ import annotations

from abc import abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor

from espalier.graph.data.graph import Graph
from espalier.graph.methods.api import Method
from espalier.graph.methods.config import RandomConfig, SupervisedConfig
from espalier.graph.nn.encoder import Encoder, make_layer
from espalier.graph.ops.features import dense


class Classifier(Method):
    """A method that learns from the labels of the training nodes."""

    @abstractmethod
    def logits(self, graph: Graph) -> Tensor:
        """(N, C) class scores."""

    def accuracy(self, graph: Graph, part: str) -> float:
        """Accuracy on the nodes of a split, in evaluation mode."""
        assert graph.y is not None
        training = self.training
        self.eval()
        with torch.inference_mode():
            right = self.logits(graph.single).argmax(1) == graph.y
        self.train(training)
        return float(right[graph.splits[part]].double().mean())

    def monitor(self, graph: Graph, loss: float) -> float:
        """Validation error: the best weights are those with the best validation accuracy."""
        return 1.0 - self.accuracy(graph, "val")


class Supervised(Classifier):
    """An encoder and one more layer of its kind, trained by cross-entropy on the training nodes."""

    def __init__(self, config: SupervisedConfig, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.encoder = Encoder(config.encoder, n_features)
        one = config.encoder.model_copy(update={"heads": 1, "activation": "none", "norm": "none", "residual": "none"})
        self.head = make_layer(one, self.encoder.d_out, n_classes)

    def loss(self, graph: Graph) -> Tensor:
        """Cross-entropy on the training nodes."""
        assert graph.y is not None
        train = graph.splits["train"]
        return F.cross_entropy(self.logits(graph)[train], graph.y[train])

    def logits(self, graph: Graph) -> Tensor:
        """(N, C) class scores."""
        scores: Tensor = self.head(graph.looped, self.encode(graph))
        return scores

    def encode(self, graph: Graph) -> Tensor:
        """The hidden layers' output."""
        return self.encoder(graph.looped, graph.x)


class Random(Method):
    """An encoder at its random initialisation; the loss is constant."""

    def __init__(self, config: RandomConfig, n_features: int) -> None:
        super().__init__()
        self.encoder = Encoder(config.encoder, n_features)

    def loss(self, graph: Graph) -> Tensor:
        """Zero, and no gradient."""
        return 0.0 * next(self.encoder.parameters()).sum()

    def encode(self, graph: Graph) -> Tensor:
        """The encoder on the graph."""
        return self.encoder(graph.looped, graph.x)


class Raw(Method):
    """The raw features."""

    def __init__(self) -> None:
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(()))

    def loss(self, graph: Graph) -> Tensor:
        """Zero."""
        return 0.0 * self.nothing

    def encode(self, graph: Graph) -> Tensor:
        """The features, dense."""
        return dense(graph.x)
