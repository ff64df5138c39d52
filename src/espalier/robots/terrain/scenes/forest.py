"""Forest: upright trunks on hills and, where overhangs are wanted, their crowns."""

from __future__ import annotations

import numpy as np

from espalier.robots.terrain.scenes.config import SceneConfig
from espalier.robots.terrain.scenes.hills import fractal
from espalier.robots.terrain.scenes.parts import Parts
from espalier.robots.terrain.scenes.place import at, scattered
from espalier.robots.terrain.scenes.sample import Floats, Height, Rng
from espalier.robots.terrain.scenes.shapes import Cylinder, Ellipsoid, Solid

GAP_M = 1.2
"""Between trunks."""
EDGE_M = 0.5
"""From trunks to the edge of the square, which crowns do not cross."""
ROOT_M = 0.5
"""A trunk reaches so far below the ground at its middle, which on 35 degrees is deep enough."""
FREE_M = 2.2
"""Between the highest ground under a crown and the crown."""
TIP_M = 0.4
"""Of a crown above its trunk."""


def forest(config: SceneConfig, rng: Rng) -> Parts:
    """Hills with trees: trunks of 0.1 to 0.3 m radius and 4.5 to 8 m height."""
    height = fractal(config.size_m, config.relief, rng)
    solids: list[Solid] = []
    radii = rng.uniform(0.1, 0.3, config.obstacles)
    for xy, radius in zip(*scattered(radii, config.size_m - 2 * EDGE_M, GAP_M, rng), strict=True):
        tall, wide = rng.uniform(4.5, 8.0), rng.uniform(0.9, 2.2, 2)
        middle = np.array([*xy, at(height, xy) + (tall - ROOT_M) / 2])
        solids.append(Cylinder(middle, float(radius), (tall + ROOT_M) / 2))
        if config.overhangs:
            top = at(height, xy) + tall + TIP_M
            solids.append(_crown(height, xy, np.minimum(wide, config.size_m / 2 - np.abs(xy)), top))
    return Parts(height, solids)


def _crown(height: Height, xy: Floats, wide: Floats, top: float) -> Ellipsoid:
    """wide: (2,) semi-axes along x and y. top: its height in the world."""
    angle = np.linspace(0.0, 2 * np.pi, 12, endpoint=False)
    x, y = (xy + 0.8 * wide * np.stack([np.cos(angle), np.sin(angle)], 1)).T
    low = max(float(height(x, y).max()), at(height, xy)) + FREE_M
    return Ellipsoid(np.array([*xy, (low + top) / 2]), np.array([*wide, (top - low) / 2]))
