"""DGI: deep graph infomax (Veličković et al., ICLR 2019)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from espalier.graph.data.graph import Graph
from espalier.graph.methods.api import Method
from espalier.graph.methods.contrastive.config import DGIConfig
from espalier.graph.nn.encoder import Encoder
from espalier.graph.ops.features import take_rows


class Bilinear(nn.Module):
    """Scores h W s + b of nodes h (N, H) against a summary s (H,)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(nn.init.xavier_uniform_(torch.empty(width, width)))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, h: Tensor, summary: Tensor) -> Tensor:
        """(N,) logits."""
        return h @ (self.weight @ summary) + self.bias


def real_or_not(real: Tensor, fake: Tensor) -> Tensor:
    """Binary cross-entropy of logits that should be high for `real` and low for `fake`."""
    return 0.5 * (F.softplus(-real).mean() + F.softplus(fake).mean())


class DGI(Method):
    """Distinguish the nodes of the graph from those of the same graph with shuffled features, given its summary. Eq.
    1.
    """

    def __init__(self, config: DGIConfig, n_features: int) -> None:
        super().__init__()
        self.encoder = Encoder(config.encoder, n_features)
        self.critic = Bilinear(self.encoder.d_out)

    def loss(self, graph: Graph) -> Tensor:
        """Real nodes against shuffled ones."""
        real = self.encode(graph)
        order = torch.randperm(graph.n_nodes, device=graph.adj.device)
        fake = self.encoder(graph.looped, take_rows(graph.x, order))
        summary = real.mean(0).sigmoid()
        return real_or_not(self.critic(real, summary), self.critic(fake, summary))

    def encode(self, graph: Graph) -> Tensor:
        """The encoder on the graph."""
        return self.encoder(graph.looped, graph.x)
