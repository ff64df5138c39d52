"""Losses over pairs of a chosen and a rejected response. Tensors are [P], one entry per pair.

Log-probs of responses are sums over response tokens only, never over the prompt.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def bradley_terry(chosen: Tensor, rejected: Tensor) -> Tensor:
    """L = -log sigmoid(r_c - r_r) for scalar rewards: [P]. Bradley and Terry 1952."""
    return -F.logsigmoid(chosen - rejected)


def score_penalty(chosen: Tensor, rejected: Tensor) -> Tensor:
    """r_c² + r_r²: [P]. Keeps scores near zero; the pair loss alone only fixes their difference (ChatGLM-RLHF,
    2404.00934).
    """
    return chosen.square() + rejected.square()


def pointwise(score: Tensor, correct: Tensor) -> Tensor:
    """L = -log sigmoid(y r) with y = +1 where `correct` (bool) and -1 elsewhere: for outcome and step rewards."""
    return -F.logsigmoid(torch.where(correct, score, -score))


def margin(policy_chosen: Tensor, policy_rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor) -> Tensor:
    """u = log(policy/ref) of the chosen minus that of the rejected response, from summed log-probs: [P]."""
    return (policy_chosen - ref_chosen) - (policy_rejected - ref_rejected)


def dpo(u: Tensor, beta: float, flip: float = 0.0) -> Tensor:
    """L = -(1 - flip) log sigmoid(beta u) - flip log sigmoid(-beta u): [P]. Rafailov et al. 2023, eq. 7.

    `flip` is the rate of wrong labels (cDPO, Mitchell 2023).
    """
    h = beta * u
    return -(1.0 - flip) * F.logsigmoid(h) - flip * F.logsigmoid(-h)


def ipo(u: Tensor, tau: float) -> Tensor:
    """L = (u - 1/(2 tau))²: [P], smallest at u = 1/(2 tau) (Azar et al. 2023, eq. 17)."""
    return (u - 1.0 / (2.0 * tau)).square()


def without_length(score: Tensor, length: Tensor, slope: float) -> Tensor:
    """r' = r - slope (|y| - mean |y|): removes a linear length effect from scores [P]. Ours."""
    tokens = length.to(score.dtype)
    return score - slope * (tokens - tokens.mean())
