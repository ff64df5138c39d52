"""GRACE: deep graph contrastive representation learning (Zhu et al., 2020)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from espalier.graph.data.graph import Graph
from espalier.graph.methods.api import Method
from espalier.graph.methods.contrastive.augment import view
from espalier.graph.methods.contrastive.config import GRACEConfig
from espalier.graph.nn.encoder import Encoder


class GRACE(Method):
    """Two augmented views; a node's two embeddings are pulled together, all other pairs are pushed apart. Eq. 1-2."""

    def __init__(self, config: GRACEConfig, n_features: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder, n_features)
        width = self.encoder.d_out
        self.head = nn.Sequential(nn.Linear(width, config.projection), nn.ELU(), nn.Linear(config.projection, width))

    def loss(self, graph: Graph) -> Tensor:
        """The contrastive loss of two views, symmetrised."""
        config = self.config
        u, v = (
            F.normalize(self.head(self.encoder(*view(graph, edges, features))), dim=1)
            for edges, features in zip(config.drop_edges, config.drop_features, strict=True)
        )
        return 0.5 * (contrast(u, v, config.tau, config.block) + contrast(v, u, config.tau, config.block))

    def encode(self, graph: Graph) -> Tensor:
        """The encoder on the graph; the head is left out."""
        return self.encoder(graph.looped, graph.x)


def contrast(u: Tensor, v: Tensor, tau: float, block: int) -> Tensor:
    """Mean over i of -log exp(u_i.v_i / tau) / (sum_j exp(u_i.v_j / tau) + sum_{j != i} exp(u_i.u_j / tau)).

    u, v: (N, H) with unit rows. Similarities are computed `block` rows at a time, and again in the backward pass.
    """
    n = u.shape[0]
    if n <= block:
        return _rows(u, v, tau, 0, n) / n
    parts = [
        checkpoint(_rows, u, v, tau, start, min(start + block, n), use_reentrant=False) for start in range(0, n, block)
    ]
    return torch.stack(parts).sum() / n


def _rows(u: Tensor, v: Tensor, tau: float, start: int, end: int) -> Tensor:
    rows = torch.arange(start, end, device=u.device)
    between = u[start:end] @ v.t() / tau
    within = u[start:end] @ u.t() / tau
    within = within.scatter(1, rows.unsqueeze(1), float("-inf"))
    return F.cross_entropy(torch.cat([between, within], 1), rows, reduction="sum")
