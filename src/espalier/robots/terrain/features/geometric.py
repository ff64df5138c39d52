"""Curvature and height gradient of points, from the covariance and the heights of their nearest neighbours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.spatial import cKDTree

from espalier.robots.terrain.features.covariance import EPS, least_eigenvalue, scatter

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
NONE = -1
FEW = 3
"""Points that are needed to have a covariance worth the name."""


class Geometry(NamedTuple):
    """curvature: (n,) least eigenvalue of the neighbourhood's covariance over their sum, 0 to 1/3. step: (n,) mean
    height difference to the neighbours, metres. radius: (n,) distance of the farthest neighbour, metres: over so much
    ground the other two are blurred.
    """

    curvature: Floats
    step: Floats
    radius: Floats


def geometry(points: Floats, neighbours: int) -> Geometry:
    """Of every point of (n, 3), from its `neighbours` nearest in space, itself among them.

    Source: FSGP-BGK (arXiv 2503.04134), step 1.
    """
    n = len(points)
    if n < FEW:
        return Geometry(np.zeros(n), np.zeros(n), np.full(n, np.inf))
    return geometry_of(points, neighbourhoods(points, neighbours), np.ones(n, bool))


class Neighbourhoods(NamedTuple):
    """found: (n, k) indices of the nearest points of each, itself first. radius: (n,) distance of the farthest."""

    found: Ints
    radius: Floats


def neighbourhoods(points: Floats, neighbours: int) -> Neighbourhoods:
    """Of every point of (n, 3), its `neighbours` nearest in space."""
    distance, found = cKDTree(points).query(points, k=min(neighbours, len(points)))
    return Neighbourhoods(found, distance[:, -1])


def geometry_of(points: Floats, around: Neighbourhoods, kept: Bools) -> Geometry:
    """Of the kept ones of (n, 3) points, from those of their neighbours that are kept."""
    found, heights = around.found[kept], points[kept, 2]
    return Geometry(*_around(points, found, heights, kept), around.radius[kept])


def geometry_at(points: Floats, xy: Floats, neighbours: int) -> Geometry:
    """Of the ground at places (m, 2): from the points of (n, 3) that are nearest to each as seen from above.

    The height of a place is that of the nearest point.
    """
    distance, found = cKDTree(points[:, :2]).query(xy, k=min(neighbours, len(points)))
    heights = points[found[:, 0], 2]
    return Geometry(*_around(points, found, heights, np.ones(len(points), bool)), distance[:, -1])


@njit(cache=True)
def _around(
    points: Floats, neighbours: Ints, heights: Floats, kept: Bools
) -> tuple[Floats, Floats]:  # pragma: no cover
    """Curvature and step at places of `heights` (m,), from the kept ones of `neighbours` (m, k) in `points` (n, 3)."""
    m = len(neighbours)
    curvature, step = np.empty(m), np.empty(m)
    for i in range(m):
        count, _, sums = scatter(points, neighbours[i], kept, NONE)
        rise = 0.0
        for j in neighbours[i]:
            if kept[j]:
                rise += abs(points[j, 2] - heights[i])
        scale = 1.0 / max(count - 1, 1)
        trace = (sums[0] + sums[1] + sums[2]) * scale
        curvature[i] = least_eigenvalue(sums) * scale / (trace + EPS)
        step[i] = rise / max(count, 1)
    return curvature, step
