"""Hypotheses of RANSAC: triples of agents, and what the similarity of each leaves unexplained."""

from __future__ import annotations

import numpy as np
from numba import njit

from espalier.robots.swarm.register.similarity import Floats, Freedom, Ints
from espalier.robots.swarm.register.triangle import triple_fit

THIN = 0.25
"""Triples of less than this share of the median triangle's area are near-degenerate."""


def draw(slots: Floats, count: int, rng: np.random.Generator, freedom: Freedom) -> tuple[Ints, int]:
    """(h, 3) indices of at most `count` triples of slots (n, 3), n >= 3, and how many near-degenerate were skipped.

    The size of a triple is its area; where all lie on a line, or turns are about z alone, its longest edge squared.
    """
    n = len(slots)
    first = rng.integers(n, size=2 * count)
    second = (first + rng.integers(1, n, size=2 * count)) % n
    third = rng.integers(n, size=2 * count)
    triples = np.stack([first, second, third], -1)[(third != first) & (third != second)]
    corners = slots[triples] * ((1.0, 1.0, 0.0) if freedom.yaw_only else 1.0)
    one, two = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    longest = np.maximum((one**2).sum(-1), np.maximum((two**2).sum(-1), ((one - two) ** 2).sum(-1)))
    area = np.sqrt((np.cross(one, two) ** 2).sum(-1))
    line = freedom.yaw_only or area.max(initial=0.0) < 1e-3 * longest.max(initial=0.0)
    size = longest if line else area
    kept = size >= THIN * np.median(size) if len(size) else np.ones(0, bool)
    return triples[kept][:count], int(len(kept) - kept.sum())


@njit(cache=True, fastmath={"reassoc", "nsz", "arcp", "contract"})
def best_triple(
    triples: Ints,
    slots: Floats,
    positions: Floats,
    towards: Floats,
    yaw_only: bool,
    low: float,
    high: float,
    c_m: float,
    least: float,
) -> tuple[int, float]:
    """The triple of the least sum of min(r^2, c^2) over agents and samples, and this; -1 where none is below `least`.

    triples: (h, 3). slots: (3, n). positions: (K, 3, n). towards: (K, 3, 3). low, high: of the scale.
    """
    n = slots.shape[1]
    cut = c_m * c_m
    best = -1
    for h in range(len(triples)):
        total = 0.0
        for k in range(len(positions)):
            fits, m, t = triple_fit(slots, positions[k], triples[h], towards[k], yaw_only, low, high)
            if not fits:
                total += cut * n
            else:
                x, y, z = positions[k, 0], positions[k, 1], positions[k, 2]
                m00, m01, m02, m10, m11 = m[0, 0], m[0, 1], m[0, 2], m[1, 0], m[1, 1]
                m12, m20, m21, m22 = m[1, 2], m[2, 0], m[2, 1], m[2, 2]
                tx, ty, tz = t[0], t[1], t[2]
                score = 0.0
                for j in range(n):
                    f, g, e = slots[0, j], slots[1, j], slots[2, j]
                    dx = x[j] - tx - m00 * f - m01 * g - m02 * e
                    dy = y[j] - ty - m10 * f - m11 * g - m12 * e
                    dz = z[j] - tz - m20 * f - m21 * g - m22 * e
                    score += min(dx * dx + dy * dy + dz * dz, cut)
                total += score
            if total >= least:
                break
        if total < least:
            best, least = h, total
    return best, least
