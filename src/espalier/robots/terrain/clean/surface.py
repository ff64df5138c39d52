"""Points beside a surface: those that the clutter explains better than the surface does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit

from espalier.robots.terrain.features.covariance import scatter, thinnest

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LEAST = 5
"""Neighbours that are needed to fit a plane."""
THIN = 0.05
"""A neighbourhood is taken as no thinner than this share of its radius: edges have planes on both sides."""
ROUNDS = 3
"""At first, others that are beside the surface still take part in planes."""


def beside(points: Floats, neighbours: Ints, radius: Floats, intensity: float, sure: Bools) -> Bools:
    """(n,): whether a point of (n, 3) lies so far from the plane through its neighbours (n, k) that clutter of so many
    points a cubic metre is denser there than the surface, a normal distribution about the plane. Not those that are
    `sure` (n,) to lie on a surface. Ours.
    """
    out = np.zeros(len(points), bool)
    for _ in range(ROUNDS):
        out = _beside(points, neighbours, radius, intensity, ~out, sure)
    return out


@njit(cache=True)
def _beside(
    points: Floats, neighbours: Ints, radius: Floats, intensity: float, good: Bools, sure: Bools
) -> Bools:  # pragma: no cover
    """One round, in which the good ones (n,) take part in planes. A point itself takes none in its own."""
    n = len(neighbours)
    out = np.zeros(n, np.bool_)
    for i in range(n):
        if sure[i]:
            continue
        count, mean, (xx, yy, zz, xy, xz, yz) = scatter(points, neighbours[i], good, i)
        if count < LEAST:
            out[i] = not good[i]
            continue
        least, (nx, ny, nz) = thinnest((xx / count, yy / count, zz / count, xy / count, xz / count, yz / count))
        off = abs(nx * (points[i, 0] - mean[0]) + ny * (points[i, 1] - mean[1]) + nz * (points[i, 2] - mean[2]))
        spread = max(np.sqrt(least), THIN * radius[i])
        dense = count / (np.pi * radius[i] ** 2) / (np.sqrt(2.0 * np.pi) * spread)
        out[i] = dense * np.exp(-0.5 * (off / spread) ** 2) < intensity
    return out
