"""GAE: graph auto-encoders (Kipf and Welling, 2016)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from espalier.graph.data.graph import Graph
from espalier.graph.methods.api import Method
from espalier.graph.methods.generative.config import GAEConfig
from espalier.graph.nn.config import EncoderConfig
from espalier.graph.nn.encoder import Encoder
from espalier.graph.ops.spmm import sampled_dot


class GAE(Method):
    """The adjacency matrix from inner products of codes."""

    def __init__(self, config: GAEConfig, n_features: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(code_encoder(config.encoder, config.code), n_features)

    def loss(self, graph: Graph) -> Tensor:
        """Class-weighted cross-entropy of edges against non-edges."""
        return link_loss(self.encode(graph), graph, self.config.pairs)

    def encode(self, graph: Graph) -> Tensor:
        """The codes."""
        return self.encoder(graph.looped, graph.x)


def code_encoder(hidden: EncoderConfig, width: int) -> EncoderConfig:
    """`hidden` with one more layer, `width` wide and without activation."""
    return hidden.model_copy(update={"widths": (*hidden.sizes, width), "last": False})


def link_loss(z: Tensor, graph: Graph, pairs: int) -> Tensor:
    """Cross-entropy of sigmoid(z_i . z_j) against the adjacency with self-loops. z: (N, H).

    Over all N^2 pairs, with edges weighted so that both classes have the same total weight. If there are more than
    `pairs`, over the edges and as many random pairs.
    """
    csr, n = graph.looped, graph.n_nodes
    real = sampled_dot(csr, z, z)
    if n * n > pairs:
        i, j = torch.randint(n, (2, csr.nnz), device=z.device)
        return F.softplus(-real).mean() + F.softplus((z[i] * z[j]).sum(1)).mean()
    negatives = n * n - csr.nnz
    all_pairs = F.softplus(z @ z.t()).sum() - F.softplus(real).sum()
    return 0.5 * (all_pairs / negatives + F.softplus(-real).mean())
