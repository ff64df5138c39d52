"""Weights for tokens that another policy sampled: older weights, or an engine with different numerics.

Weights carry no gradient. `prox` is the learner's log-prob at the start of the update, `behave` the engine's when it
sampled, `new` the current one; all [M].
"""

from __future__ import annotations

import torch
from torch import Tensor

from espalier.rl.algorithms.policy import log_ratio
from espalier.rl.algorithms.reduce import row_mean


def decoupled(prox: Tensor, behave: Tensor) -> Tensor:
    """w = prox/behave, exact (decoupled PPO, Hilton et al. 2022)."""
    return log_ratio(prox, behave).exp()


def truncated_is(prox: Tensor, behave: Tensor, *, cap: float) -> Tensor:
    """w = min(prox/behave, cap): lower variance for a bias (Ionides 2008; TIS of Yao et al. 2025)."""
    return decoupled(prox, behave).clamp(max=cap)


def icepop(prox: Tensor, behave: Tensor, *, low: float, high: float) -> Tensor:
    """w = prox/behave inside [low, high], else 0 (IcePop; GLM-5, 2602.15763, keeps [1/2, 2])."""
    weight = decoupled(prox, behave)
    return torch.where((weight >= low) & (weight <= high), weight, 0.0)


def double_sided(new: Tensor, behave: Tensor, *, low: float, high: float) -> Tensor:
    """w = new/behave strictly inside (1 - low, 1 + high), else 0, to weight -A log pi (GLM-5's agentic runs)."""
    weight = log_ratio(new.detach(), behave).exp()
    return torch.where((weight > 1.0 - low) & (weight < 1.0 + high), weight, 0.0)


def sequence_mask(new: Tensor, behave: Tensor, adv: Tensor, present: Tensor, row: Tensor, *, low: float) -> Tensor:
    """0 for tokens with A < 0 in rows whose geometric mean of new/behave is below `low`, else 1.

    Equal to mean(log behave - log new) > -log(low) (DeepSeek-V3.2's off-policy sequence masking). present: [M] 0 or 1.
    """
    drift = row_mean(new.detach() - behave, present, row).exp()[row]
    return torch.where((adv < 0) & (drift < low), 0.0, torch.ones_like(adv))


def lag_mask(lag: Tensor, limit: int) -> Tensor:
    """1.0 for tokens at most `limit` versions old, else 0.0: [M]. Apply it to the weights before they are counted."""
    return (lag <= limit).float()
