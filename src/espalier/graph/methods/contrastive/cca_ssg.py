"""CCA-SSG: canonical correlation analysis as self-supervision on graphs (Zhang et al., NeurIPS 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

from espalier.graph.data.graph import Graph
from espalier.graph.methods.api import Method
from espalier.graph.methods.contrastive.augment import view
from espalier.graph.methods.contrastive.config import CCAConfig
from espalier.graph.nn.encoder import Encoder


class CCASSG(Method):
    """Standardised embeddings of two views are correlated node by node, and decorrelated across dimensions. Eq. 4."""

    def __init__(self, config: CCAConfig, n_features: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder.model_copy(update={"last": False}), n_features)

    def loss(self, graph: Graph) -> Tensor:
        """-trace(C12) + lambda (|I - C11|^2 + |I - C22|^2), C = Z^T Z / N."""
        config = self.config
        codes = [self.encoder(*view(graph, config.drop_edges, config.drop_features)) for _ in range(2)]
        one, two = ((z - z.mean(0)) / z.std(0).clamp(min=1e-9) for z in codes)
        n = graph.n_nodes
        eye = torch.eye(one.shape[1], device=one.device)
        agreement = (one * two).sum() / n
        apart = sum((eye - z.t() @ z / n).square().sum() for z in (one, two))
        return -agreement + config.decorrelation * apart

    def encode(self, graph: Graph) -> Tensor:
        """The encoder on the graph."""
        return self.encoder(graph.looped, graph.x)
