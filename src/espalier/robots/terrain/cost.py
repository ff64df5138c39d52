"""The preliminary cost: how hard ground is to cross, 0 to 1."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from espalier.robots.terrain.config import CostConfig
from espalier.robots.terrain.features.geometric import Geometry
from espalier.robots.terrain.grid.frame import Frame

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


def cost(geometry: Geometry, slope: Floats, config: CostConfig) -> Floats:
    """Of curvature, step and slope (m,): each as a share of what counts 1, clipped, and their weighted mean.

    Source: FSGP-BGK (arXiv 2503.04134), step 5.
    """
    shares = (geometry.curvature / config.curvature, geometry.step / config.step_m, slope / config.slope)
    return sum(
        (w * np.clip(share, 0.0, 1.0) for w, share in zip(config.weights, shares, strict=True)), np.zeros(len(slope))
    )


def upright(points: Floats, frame: Frame, least_m: float) -> Bools:
    """(rows, cols): whether the points (n, 3) of a cell lie farther apart in height than `least_m`. Ours."""
    cells = frame.cells(points[:, :2])
    inside = frame.inside(cells)
    flat, heights = cells[inside] @ np.array([frame.cols, 1]), points[inside, 2]
    low, high = np.full(frame.rows * frame.cols, np.inf), np.full(frame.rows * frame.cols, -np.inf)
    np.minimum.at(low, flat, heights)
    np.maximum.at(high, flat, heights)
    return (high - low > least_m).reshape(frame.shape)
