"""RANSAC with one inlier set over the horizon."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from espalier.robots.swarm.register.consensus import LEAST, Consensus, refit
from espalier.robots.swarm.register.similarity import Floats, Freedom
from espalier.robots.swarm.register.triples import best_triple, draw
from espalier.robots.swarm.register.umeyama import FREE

ROUNDS = 4
"""Times that triples are drawn, at most."""
MISSED = 0.01
"""Chance that no triple was of agents that agree, at which none are drawn any more."""


@dataclass(frozen=True)
class RansacConsensus(Consensus):
    """tried, skipped: triples scored, and left out as near-degenerate."""

    tried: int
    skipped: int


def ransac(
    slots: Floats,
    positions: Floats,
    c_m: float,
    rng: np.random.Generator,
    *,
    hypotheses: int = 48,
    refits: int = 2,
    freedom: Freedom = FREE,
    towards: Floats | None = None,
) -> RansacConsensus:
    """Slots (n, 3) among finite positions (K, n, 3). towards: (K, 3, 3) for open rotations, see `umeyama`.

    A hypothesis is a triple of agents, fitted at each sample; it scores the sum of min(r^2, c^2) over all agents and
    samples (MSAC). Where few agree with the best, more are drawn, up to four times `hypotheses`. The best is refitted
    to those within `c_m` of it in at least half of the samples. Source: Fischler & Bolles, 1981; Torr & Zisserman,
    2000; triples shared over the horizon are ours.
    """
    n, count = len(slots), len(positions)
    prior = np.broadcast_to(np.eye(3), (count, 3, 3)) if towards is None else towards
    flat, flat_positions = np.ascontiguousarray(slots.T), np.ascontiguousarray(np.swapaxes(positions, 1, 2))
    towards_all, (low, high) = np.array(prior, np.float64, order="C"), freedom.scale
    chosen, loss, tried, skipped = np.ones(n, bool), c_m**2 * n * count, 0, 0
    for _ in range(ROUNDS if n >= LEAST else 0):
        triples, left_out = draw(slots, hypotheses, rng, freedom)
        best, loss = best_triple(triples, flat, flat_positions, towards_all, freedom.yaw_only, low, high, c_m, loss)
        if best >= 0:
            chosen = np.isin(np.arange(n), triples[best])
        tried, skipped = tried + len(triples), skipped + left_out
        agree = 1.0 - loss / (c_m**2 * n * count)
        if (1.0 - agree**LEAST) ** tried <= MISSED:
            break
    found = refit(slots, positions, chosen, c_m, rounds=refits + 1, freedom=freedom, towards=towards)
    return RansacConsensus(found.fit, found.inlier, found.residual_m, tried, skipped)
