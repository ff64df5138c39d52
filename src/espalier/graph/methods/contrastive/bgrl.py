"""BGRL: large-scale representation learning on graphs via bootstrapping (Thakoor et al., ICLR 2022)."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

from espalier.graph.data.graph import Graph
from espalier.graph.methods.api import Method
from espalier.graph.methods.contrastive.augment import view
from espalier.graph.methods.contrastive.config import BGRLConfig
from espalier.graph.methods.masked.cosine import cosine
from espalier.graph.methods.teacher import follow
from espalier.graph.nn.encoder import Encoder


class BGRL(Method):
    """Predict a slowly updated teacher's embeddings of the other view from one augmented view: loss 2 - cosine -
    cosine. Section 2.
    """

    def __init__(self, config: BGRLConfig, n_features: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder, n_features)
        width, middle = self.encoder.d_out, config.predictor
        self.predictor = nn.Sequential(nn.Linear(width, middle), nn.PReLU(), nn.Linear(middle, width))
        self.teacher = copy.deepcopy(self.encoder).requires_grad_(False)

    def loss(self, graph: Graph) -> Tensor:
        """Both directions."""
        config = self.config
        first, second = (
            view(graph, edges, features)
            for edges, features in zip(config.drop_edges, config.drop_features, strict=True)
        )
        with torch.no_grad():
            targets = self.teacher(*second), self.teacher(*first)
        predictions = self.predictor(self.encoder(*first)), self.predictor(self.encoder(*second))
        both = [1.0 - cosine(p, t).mean() for p, t in zip(predictions, targets, strict=True)]
        return both[0] + both[1]

    def encode(self, graph: Graph) -> Tensor:
        """The online encoder on the graph."""
        return self.encoder(graph.looped, graph.x)

    def after_step(self, progress: float) -> None:
        """Update the teacher, with rising momentum."""
        momentum = 1.0 - (1.0 - self.config.momentum) * (math.cos(math.pi * progress) + 1.0) / 2.0
        follow(self.teacher, self.encoder, momentum)
