"""Graduated non-convexity: truncated least squares approached from a convex problem, without drawing anything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from espalier.robots.swarm.register.consensus import LEAST, Consensus, residuals
from espalier.robots.swarm.register.similarity import Floats, Freedom
from espalier.robots.swarm.register.umeyama import FREE, umeyama

FACTOR = 1.4
"""Growth of mu, as in the paper."""
BINARY = 1e-4
"""Weights so near to 0 or 1 are taken for these."""


@dataclass(frozen=True)
class GncConsensus(Consensus):
    """weights: (n,) from 0 to 1. iterations: fits made. converged: whether the weights became 0 or 1."""

    weights: Floats
    iterations: int
    converged: bool


def gnc(
    slots: Floats,
    positions: Floats,
    c_m: float,
    *,
    iterations: int = 100,
    freedom: Freedom = FREE,
    towards: Floats | None = None,
) -> GncConsensus:
    """Slots (n, 3) among finite positions (K, n, 3). towards: (K, 3, 3) for open rotations, see `umeyama`.

    An agent has one weight over the horizon, by its mean squared residual. Source: Yang, Antonante, Tzoumas & Carlone,
    RA-L 2020, eqs. 12-14 and remark 5; shared weights are ours.
    """
    weights = np.ones(len(slots))
    cut = c_m * c_m
    mu, fits, converged = 0.0, 0, False
    while fits < max(iterations, 1):
        fits += 1
        fit = umeyama(slots, positions, weights, freedom=freedom, towards=towards)
        residual_m = residuals(fit, slots, positions)
        square = (residual_m**2).mean(0)
        if not mu:
            worst = square.max(initial=0.0)
            mu = cut / (2.0 * worst - cut) if 2.0 * worst > cut else np.inf
        else:
            converged = bool((np.minimum(weights, 1.0 - weights) < BINARY).all())
        if converged or np.isinf(mu):
            break
        softened = _weights(square, cut, mu)
        if (softened > 0.0).sum() < LEAST:
            break
        weights = softened
        mu *= FACTOR
    return GncConsensus(fit, weights > 0.5, residual_m, weights, fits, converged or bool(np.isinf(mu)))


def _weights(square: Floats, cut: float, mu: float) -> Floats:
    middle = np.sqrt(cut * mu * (mu + 1.0) / np.maximum(square, 1e-300)) - mu
    weights: Floats = middle.clip(0.0, 1.0)
    return weights
