"""Policy losses of single tokens, to be minimised. All tensors are flat [M]; only `new` carries a gradient.

r = exp(new - old) is the ratio and A the advantage. The correction decides whether `old` is the engine's log-prob or
the learner's at the start of the update.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from espalier.rl.algorithms.divergence import LOG_RATIO
from espalier.rl.algorithms.reduce import row_mean

GSPO_LOG_MAX = 10.0
"""Upper bound of a sequence's log-ratio, as in the published trainer."""


@dataclass(frozen=True, slots=True)
class TokenLoss:
    """loss: [M], with gradient. ratio: [M], without. low, high: [M] bool, where the ratio is clipped at the bound."""

    loss: Tensor
    ratio: Tensor
    low: Tensor
    high: Tensor


def log_ratio(new: Tensor, old: Tensor) -> Tensor:
    """new - old, clamped to +-20 so that the ratio stays finite."""
    return (new - old).clamp(-LOG_RATIO, LOG_RATIO)


def reinforce(new: Tensor, old: Tensor, adv: Tensor) -> TokenLoss:
    """L = -A log pi (Williams 1992). The ratio is only reported."""
    never = torch.zeros_like(adv, dtype=torch.bool)
    return TokenLoss(-adv * new, log_ratio(new.detach(), old).exp(), never, never)


def ppo_clip(new: Tensor, old: Tensor, adv: Tensor, *, low: float, high: float, dual: float | None = None) -> TokenLoss:
    """L = max(-A r, -A clip(r, 1 - low, 1 + high)) (Schulman et al. 2017, eq. 7; high > low is DAPO's clip-higher).

    With `dual`, where A < 0: L = min(L, -A dual) (Ye et al. 2020).
    """
    return _clipped(log_ratio(new, old).exp(), adv, low, high, dual)


def gspo(new: Tensor, old: Tensor, adv: Tensor, present: Tensor, row: Tensor, *, low: float, high: float) -> TokenLoss:
    """PPO's clip with one ratio per sequence, s = exp(mean_t (new - old)) (Zheng et al. 2025, GSPO-token).

    present: [M] 1 where a token counts, else 0. row: Long[M]. Token form s_t = sg(s) pi/sg(pi): its value is the
    sequence's, its gradient the token's. log s is held below 10.
    """
    mean = row_mean((new - old).detach(), present, row)[row].clamp(-LOG_RATIO, GSPO_LOG_MAX)
    return _clipped((mean + new - new.detach()).exp(), adv, low, high, None)


def cispo(new: Tensor, old: Tensor, adv: Tensor, *, low: float, high: float) -> TokenLoss:
    """L = -sg(clip(r, 1 - low, 1 + high)) A log pi (MiniMax-M1, 2506.13585): no token loses its gradient."""
    ratio = log_ratio(new.detach(), old).exp()
    held = ratio.clamp(1.0 - low, 1.0 + high)
    return TokenLoss(-held * adv * new, ratio, ratio < 1.0 - low, ratio > 1.0 + high)


def _clipped(ratio: Tensor, adv: Tensor, low: float, high: float, dual: float | None) -> TokenLoss:
    loss = torch.maximum(-adv * ratio, -adv * ratio.clamp(1.0 - low, 1.0 + high))
    if dual is not None:
        loss = torch.where(adv < 0, torch.minimum(loss, -adv * dual), loss)
    value = ratio.detach()
    return TokenLoss(loss, value, (adv < 0) & (value < 1.0 - low), (adv > 0) & (value > 1.0 + high))
