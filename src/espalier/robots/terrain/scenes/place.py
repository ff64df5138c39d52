"""Where things stand, and how they stand on ground that is not level."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from espalier.robots.terrain.scenes.sample import Floats, Height, Rng
from espalier.robots.terrain.scenes.shapes import Box, turned

TRIES = 30
"""For each thing; then there is no room for it."""
SUNK_M = 0.05
"""Things reach so far into the lowest ground below them."""


def scattered(radii: Floats, size_m: float, gap_m: float, rng: Rng) -> tuple[Floats, Floats]:
    """(m, 2) middles and (m,) radii of those of (n,) discs that found room in the square, `gap_m` from each other."""
    placed = np.empty((0, 3))
    for radius in radii:
        for _ in range(TRIES):
            x, y = rng.uniform(radius - size_m / 2, size_m / 2 - radius, 2)
            if (np.hypot(placed[:, 0] - x, placed[:, 1] - y) >= placed[:, 2] + radius + gap_m).all():
                placed = np.vstack([placed, (x, y, radius)])
                break
    return placed[:, :2], placed[:, 2]


def upright(height: Height, xy: Floats, sides: Sequence[float], yaw: float) -> Box:
    """A box of the given length, width and height, from below the lowest ground under it to `height` above the highest.

    sides: metres. xy: (2,) its middle.
    """
    length, width, tall = sides
    turn = turned(yaw)
    x, y = np.meshgrid(np.linspace(-length / 2, length / 2, 7), np.linspace(-width / 2, width / 2, 7))
    under = np.stack([x.ravel(), y.ravel()], 1) @ turn[:2, :2].T + xy
    z = height(under[:, 0], under[:, 1])
    low, high = z.min() - SUNK_M, z.max() + tall
    return Box(np.array([*xy, (low + high) / 2]), np.array([length / 2, width / 2, (high - low) / 2]), turn)


def at(height: Height, xy: Floats) -> float:
    """Height of the ground at (2,) x and y."""
    return float(height(xy[:1], xy[1:])[0])
