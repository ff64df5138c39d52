"""The two loops over agents and samples in which a registration spends its time."""

from __future__ import annotations

import numpy as np
from numba import njit

from espalier.robots.swarm.register.similarity import Floats

ROUNDING = 1e-12
"""Of the distance from the origin: points nearer to each other coincide."""


@njit(cache=True)
def moments(slots: Floats, positions: Floats, weights: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Of slots (B or 1, n, 3) and positions (B or 1, n, 3) with weights (B or 1, n): the sums (B,) of those of finite
    points, and under these weights the means (B, 2, 3) of both, their variances (B, 2), 0 where that is rounding, and
    their covariances (B, 3, 3), rows for positions.
    """
    count = max(len(slots), len(positions), len(weights))
    n = slots.shape[1]
    total, mean = np.zeros(count), np.zeros((count, 2, 3))
    variance, covariance = np.zeros((count, 2)), np.zeros((count, 3, 3))
    used = np.empty(n)
    for b in range(count):
        f, y, w = slots[b % len(slots)], positions[b % len(positions)], weights[b % len(weights)]
        for j in range(n):
            finite = np.isfinite(f[j, 0] + f[j, 1] + f[j, 2] + y[j, 0] + y[j, 1] + y[j, 2])
            used[j] = w[j] if finite else 0.0
            if used[j] > 0.0:
                total[b] += used[j]
                for d in range(3):
                    mean[b, 0, d] += used[j] * f[j, d]
                    mean[b, 1, d] += used[j] * y[j, d]
        if total[b] == 0.0:
            continue
        for side in range(2):
            for d in range(3):
                mean[b, side, d] /= total[b]
        for j in range(n):
            if used[j] > 0.0:
                share = used[j] / total[b]
                for d in range(3):
                    u, v = f[j, d] - mean[b, 0, d], y[j, d] - mean[b, 1, d]
                    variance[b, 0] += share * u * u
                    variance[b, 1] += share * v * v
                    for e in range(3):
                        covariance[b, d, e] += share * v * (f[j, e] - mean[b, 0, e])
        for side in range(2):
            px, py, pz = mean[b, side, 0], mean[b, side, 1], mean[b, side, 2]
            if variance[b, side] <= ROUNDING**2 * (px * px + py * py + pz * pz):
                variance[b, side] = 0.0
    return total, mean, variance, covariance


@njit(cache=True)
def distances(matrices: Floats, translations: Floats, slots: Floats, positions: Floats) -> Floats:
    """(K, n): from A f + t to x, for matrices (K, 3, 3), translations (K, 3), slots (n, 3) and positions (K, n, 3)."""
    count, n = positions.shape[:2]
    apart = np.empty((count, n))
    for k in range(count):
        a, t = matrices[k], translations[k]
        for j in range(n):
            f, g, h = slots[j, 0], slots[j, 1], slots[j, 2]
            dx = positions[k, j, 0] - t[0] - a[0, 0] * f - a[0, 1] * g - a[0, 2] * h
            dy = positions[k, j, 1] - t[1] - a[1, 0] * f - a[1, 1] * g - a[1, 2] * h
            dz = positions[k, j, 2] - t[2] - a[2, 0] * f - a[2, 1] * g - a[2, 2] * h
            apart[k, j] = np.sqrt(dx * dx + dy * dy + dz * dz)
    return apart
