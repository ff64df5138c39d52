"""VGAE: variational graph auto-encoders (Kipf and Welling, 2016)."""

from __future__ import annotations

import torch
from torch import Tensor

from espalier.graph.data.graph import Graph
from espalier.graph.methods.api import Method
from espalier.graph.methods.generative.config import GAEConfig
from espalier.graph.methods.generative.gae import code_encoder, link_loss
from espalier.graph.nn.encoder import Encoder


class VGAE(Method):
    """A Gaussian code per node, and the adjacency matrix from inner products of samples. Eq. 1-3 of the paper."""

    def __init__(self, config: GAEConfig, n_features: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(code_encoder(config.encoder, 2 * config.code), n_features)

    def loss(self, graph: Graph) -> Tensor:
        """The negative evidence lower bound per node."""
        return self.bound(graph)[0]

    def bound(self, graph: Graph) -> tuple[Tensor, Tensor]:
        """The loss, and the codes (N, code) sampled for it."""
        mean, log_std = self.encoder(graph.looped, graph.x).chunk(2, 1)
        log_std = log_std.clamp(max=10.0)
        z = mean + torch.randn_like(mean) * log_std.exp()
        divergence = -0.5 * (1.0 + 2.0 * log_std - mean.square() - (2.0 * log_std).exp()).sum(1).mean()
        return link_loss(z, graph, self.config.pairs) + divergence / graph.n_nodes, z

    def encode(self, graph: Graph) -> Tensor:
        """The means."""
        return self.encoder(graph.looped, graph.x).chunk(2, 1)[0]
