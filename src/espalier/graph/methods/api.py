"""The interface of a method."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from espalier.graph.data.graph import Graph


class Method(nn.Module, ABC):
    """A network with its own loss. It has no optimizer and prints nothing. Random numbers come from torch's generator,
    which the trainer seeds before every step.
    """

    @abstractmethod
    def loss(self, graph: Graph) -> Tensor:
        """The scalar to minimise on a graph or mini-batch, in training mode."""

    @abstractmethod
    def encode(self, graph: Graph) -> Tensor:
        """Embeddings (N, H) of every node, in the current mode of the module."""

    def embed(self, graph: Graph) -> Tensor:
        """Embeddings (N, H) of a graph, or (k, H) of a mini-batch's targets: evaluation mode, no gradient."""
        training = self.training
        self.eval()
        try:
            with torch.inference_mode():
                z = self.encode(graph.single)
        finally:
            self.train(training)
        return z if graph.targets is None else z[graph.targets]

    def after_step(self, progress: float) -> None:
        """Called after each optimizer step; `progress` rises from 0 to 1 over the training."""

    def monitor(self, graph: Graph, loss: float) -> float:
        """The value that early stopping minimises after an epoch on `graph`: the loss, unless the method overrides
        it.
        """
        return loss

    def forward(self, graph: Graph) -> Tensor:
        """The loss, for distributed wrappers."""
        return self.loss(graph)
