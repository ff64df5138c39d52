"""ARGVA: adversarially regularised variational graph auto-encoder (Pan et al., IJCAI 2018)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from espalier.graph.data.graph import Graph
from espalier.graph.methods.generative.config import ARGVAConfig
from espalier.graph.methods.generative.vgae import VGAE


class ARGVA(VGAE):
    """VGAE with a discriminator that distinguishes its codes from a unit Gaussian. Algorithm 1, both players in one
    step.
    """

    def __init__(self, config: ARGVAConfig, n_features: int) -> None:
        super().__init__(config, n_features)
        self.adversary = config.adversary
        first, second = config.discriminator
        self.discriminator = nn.Sequential(
            nn.Linear(config.code, first), nn.ReLU(), nn.Linear(first, second), nn.ReLU(), nn.Linear(second, 1)
        )

    def loss(self, graph: Graph) -> Tensor:
        """The encoder's loss against a frozen discriminator, plus the discriminator's on detached codes."""
        bound, z = self.bound(graph)
        frozen = {name: weight.detach() for name, weight in self.discriminator.named_parameters()}
        deceive = F.softplus(-functional_call(self.discriminator, frozen, z)).mean()
        prior = self.discriminator(torch.randn_like(z))
        detect = F.softplus(-prior).mean() + F.softplus(self.discriminator(z.detach())).mean()
        return bound + self.adversary * deceive + detect
