"""What a robust solver finds: one set of agents that agree, and where they say the formation is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from espalier.robots.swarm.register.loops import distances
from espalier.robots.swarm.register.similarity import Flags, Floats, Freedom, Similarity
from espalier.robots.swarm.register.umeyama import umeyama

MOST = 0.5
"""An agent is out where more than this share of its residuals is too large."""
LEAST = 3
"""Agents that a refit needs."""


@dataclass(frozen=True)
class Consensus:
    """fit: (K,), of the inliers at each sample. inlier: (n,) flags, the same over all samples. residual_m: (K, n)."""

    fit: Similarity
    inlier: Flags
    residual_m: Floats

    @property
    def count(self) -> int:
        """Inliers."""
        return int(self.inlier.sum())

    def loss(self, c_m: float) -> float:
        """The truncated sum of squares over all samples, square metres."""
        return float((np.minimum(self.residual_m, c_m) ** 2).sum())


def residuals(fit: Similarity, slots: Floats, positions: Floats) -> Floats:
    """(K, n): metres from where a fit (K,) puts slots (n, 3) to positions (K, n, 3)."""
    return distances(fit.scale[:, None, None] * fit.rotation, fit.translation, slots, positions)


def within(residual_m: Floats, c_m: float) -> Flags:
    """(n,): whose residual (K, n) is at most `c_m` in at least half of the samples."""
    inside: Flags = (residual_m > c_m).mean(0) <= MOST
    return inside


def refit(
    slots: Floats,
    positions: Floats,
    chosen: Flags,
    c_m: float,
    *,
    rounds: int = 2,
    freedom: Freedom,
    towards: Floats | None,
) -> Consensus:
    """Fit to the chosen (n,) agents, take those within `c_m` of that, and again, until nothing changes."""
    for _ in range(max(rounds, 1)):
        fit = umeyama(slots, positions, chosen, freedom=freedom, towards=towards)
        residual_m = residuals(fit, slots, positions)
        inlier = within(residual_m, c_m)
        if inlier.sum() < LEAST or np.array_equal(inlier, chosen):
            break
        chosen = inlier
    return Consensus(fit, inlier, residual_m)
