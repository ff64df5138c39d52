"""What a perfect map would say: the cost formula on a whole cloud without noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from espalier.robots.terrain.config import CostConfig
from espalier.robots.terrain.cost import cost
from espalier.robots.terrain.features.geometric import geometry_at
from espalier.robots.terrain.features.slope import differences
from espalier.robots.terrain.grid.frame import Frame

Floats = npt.NDArray[np.float64]
NEAR_M = 0.2
"""Cells without a point nearer than this are not judged."""


@dataclass(frozen=True)
class Truth:
    """Arrays of (rows, cols), NaN where the cloud has no point near."""

    frame: Frame
    elevation: Floats
    cost: Floats


def truth(points: Floats, frame: Frame, config: CostConfig, neighbours: int = 20) -> Truth:
    """Of (n, 3) points: curvature and step from the nearest points to each cell, slope from the heights of the cells.

    The paper leaves its ground truth open; this one is ours, so absolute errors cannot be compared with published ones.
    """
    centres = frame.centres()
    nearest, index = cKDTree(points[:, :2]).query(centres)
    known = nearest <= NEAR_M
    heights = np.where(known, _means(points, frame, points[index, 2]), np.nan).reshape(frame.shape)
    found = cost(geometry_at(points, centres, neighbours), differences(heights, frame.cell_m).ravel(), config)
    return Truth(frame, heights, np.where(known, found, np.nan).reshape(frame.shape))


def _means(points: Floats, frame: Frame, otherwise: Floats) -> Floats:
    """Mean height of the points in each cell; of the cells without any, `otherwise` (cells,)."""
    cells = frame.cells(points[:, :2])
    inside = frame.inside(cells)
    flat = cells[inside, 0] * frame.cols + cells[inside, 1]
    count = np.bincount(flat, minlength=frame.rows * frame.cols)
    total = np.bincount(flat, points[inside, 2], minlength=frame.rows * frame.cols)
    return np.where(count > 0, total / np.maximum(count, 1), otherwise)
