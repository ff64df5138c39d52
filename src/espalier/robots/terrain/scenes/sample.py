"""Points on surfaces, evenly by area: one at a random place in each cell of a grid, so that there are no holes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Rng = np.random.Generator
Height = Callable[[Floats, Floats], Floats]
"""From x and y, of one shape, to the height there."""

STEEPEST = 1.0
"""Slopes of more count as this when ground is sampled: what is steeper is a step, whose face is sampled by itself."""


def rectangle(width: float, height: float, density: float, rng: Rng) -> Floats:
    """(n, 2) points in [0, width) x [0, height), about `density` a square metre, on narrow strips as well."""
    cols, rows = (max(int(np.ceil(side * np.sqrt(density))), 1) for side in (width, height))
    cells = np.stack(np.meshgrid(np.arange(cols), np.arange(rows)), -1).reshape(-1, 2)
    kept = cells[rng.random(len(cells)) * len(cells) < width * height * density]
    return (kept + rng.random(kept.shape)) * (width / cols, height / rows)


def ground(height: Height, size_m: float, density: float, rng: Rng) -> Floats:
    """(n, 3) points on the ground in a square around (0, 0), `density` a square metre of the sloping surface."""
    side = int(np.ceil(size_m * np.sqrt(density)))
    cells = np.stack(np.meshgrid(np.arange(side), np.arange(side)), -1).reshape(-1, 2)
    step = size_m / side
    area = np.sqrt(1.0 + slope(height, (cells + 0.5) * step - size_m / 2).clip(0.0, STEEPEST) ** 2)
    cells = np.repeat(cells, (area * step**2 * density + rng.random(len(cells))).astype(int), axis=0)
    x, y = ((cells + rng.random(cells.shape)) * step - size_m / 2).T
    return np.stack([x, y, height(x, y)], 1)


def slope(height: Height, xy: npt.NDArray[np.floating], reach_m: float = 0.01) -> Floats:
    """(n,): rise over run at (n, 2) points, by central differences."""
    x, y = xy.T
    to_x = height(x + reach_m, y) - height(x - reach_m, y)
    to_y = height(x, y + reach_m) - height(x, y - reach_m)
    return np.hypot(to_x, to_y) / (2.0 * reach_m)
