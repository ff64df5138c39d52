"""The value model of PPO and its loss."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from espalier.lm.attention import Attention
from espalier.lm.decoder import Decoder
from espalier.lm.heads import ValueHead


class Critic(nn.Module):
    """A separate decoder with a scalar head. The value of a token is that of the state before it."""

    def __init__(self, decoder: Decoder, head: ValueHead) -> None:
        super().__init__()
        self.decoder = decoder
        self.head = head

    @staticmethod
    def beside(policy: Decoder) -> Critic:
        """A critic that starts from a copy of the policy's weights."""
        decoder = copy.deepcopy(policy).requires_grad_(True)
        return Critic(decoder, ValueHead(policy.config.hidden_size).to(policy.frequencies.device))

    def forward(self, tokens: Tensor, positions: Tensor, attend: Attention, at: Tensor) -> Tensor:
        """Values [M] of the states at flat positions `at`."""
        return self.head(self.decoder(tokens, positions, attend)[at]).float()


def value_loss(new: Tensor, old: Tensor, returns: Tensor, clip: float | None) -> Tensor:
    """Per-token squared error [M], halved. With `clip`, the larger of this error and that of the clipped value.

    PPO's value clipping as in public implementations: 0.5 max((V - R)^2, (V_old + clip(V - V_old) - R)^2).
    """
    error = (new - returns).square()
    if clip is not None:
        held = old + (new - old).clamp(-clip, clip)
        error = torch.maximum(error, (held - returns).square())
    return 0.5 * error
