"""The reference policy of KL terms: the initial weights, frozen, or a moving average of the policy."""

from __future__ import annotations

import copy

import torch

from espalier.lm.decoder import Decoder
from espalier.rl.learner.ranks.tensors import local


class Reference:
    """A model without gradients. With `decay` 1 it is frozen; below 1: w <- decay w + (1 - decay) policy.

    The moving average as a reference is from T1 (Hou et al. 2025); the default decay is ours.
    """

    def __init__(self, model: Decoder, decay: float = 1.0) -> None:
        self.model = model.requires_grad_(False)
        self.decay = decay

    @staticmethod
    def of(policy: Decoder, decay: float = 1.0) -> Reference:
        """A reference that starts from a copy of the policy."""
        return Reference(copy.deepcopy(policy), decay)

    @torch.no_grad()
    def follow(self, policy: Decoder) -> None:
        """Update the moving average."""
        if self.decay < 1.0:
            own, other = ([local(p.detach()) for p in model.parameters()] for model in (self.model, policy))
            torch._foreach_lerp_(own, other, 1.0 - self.decay)
