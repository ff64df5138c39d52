"""Per-token estimates of the KL divergence to a reference, from tokens that the policy sampled (Schulman 2020).

With d = log pi/ref: k1 = d, k2 = d²/2, k3 = exp(-d) - 1 + d. k1 and k3 have mean KL(pi || ref), k3 is never negative.
As a loss the gradients differ: k1 has none in expectation, k2 has that of KL(pi || ref), k3 that of KL(ref || pi).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from espalier.rl.algorithms.advantages import Floats
from espalier.rl.algorithms.config import Estimator

LOG_RATIO = 20.0
"""Log-ratios are clamped to this, as public trainers do."""
K3_MAX = 10.0
"""k3 is clamped to this, as public trainers do."""


def kl_loss(new: Tensor, ref: Tensor, estimator: Estimator) -> Tensor:
    """[M] estimate for log-probs `new` (with gradient) and `ref`, clamped."""
    d = (new - ref).clamp(-LOG_RATIO, LOG_RATIO)
    if estimator == "k1":
        return d
    if estimator == "k2":
        return 0.5 * d.square()
    return (torch.expm1(-d) + d).clamp(max=K3_MAX)


def kl_estimate(log_ratio: Floats, estimator: Estimator) -> Floats:
    """[M] the same values from d = log pi/ref, without gradient: the KL as part of the reward."""
    d = np.clip(log_ratio, -LOG_RATIO, LOG_RATIO)
    if estimator == "k1":
        return d
    if estimator == "k2":
        return 0.5 * np.square(d)
    return np.minimum(np.expm1(-d) + d, K3_MAX)


def entropy(logits: Tensor) -> Tensor:
    """[M] entropy in nats of the softmax of `logits` [M, V]."""
    logprobs = torch.log_softmax(logits, dim=-1)
    return -(logprobs.exp() * logprobs).sum(-1)
