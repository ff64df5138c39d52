"""Curvature and height gradient of points, from the covariance and the heights of their nearest neighbours."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.spatial import cKDTree

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
EPS = 1e-12
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
        k = 0
        mx = my = mz = rise = 0.0
        for j in neighbours[i]:
            if kept[j]:
                k += 1
                mx += points[j, 0]
                my += points[j, 1]
                mz += points[j, 2]
                rise += abs(points[j, 2] - heights[i])
        k = max(k, 1)
        mx, my, mz = mx / k, my / k, mz / k
        xx = yy = zz = xy = xz = yz = 0.0
        for j in neighbours[i]:
            if kept[j]:
                x, y, z = points[j, 0] - mx, points[j, 1] - my, points[j, 2] - mz
                xx += x * x
                yy += y * y
                zz += z * z
                xy += x * y
                xz += x * z
                yz += y * z
        scale = 1.0 / max(k - 1, 1)
        trace = (xx + yy + zz) * scale
        least = _least_eigenvalue(xx * scale, yy * scale, zz * scale, xy * scale, xz * scale, yz * scale)
        curvature[i] = least / (trace + EPS)
        step[i] = rise / k
    return curvature, step


@njit(cache=True)
def _least_eigenvalue(xx: float, yy: float, zz: float, xy: float, xz: float, yz: float) -> float:  # pragma: no cover
    """Of a symmetric 3 x 3 matrix, in closed form (trigonometric solution of the cubic)."""
    mean = (xx + yy + zz) / 3.0
    xx, yy, zz = xx - mean, yy - mean, zz - mean
    off = xy * xy + xz * xz + yz * yz
    size = np.sqrt((xx * xx + yy * yy + zz * zz + 2.0 * off) / 6.0)
    if size < EPS * mean or size == 0.0:
        return max(mean, 0.0)
    determinant = xx * (yy * zz - yz * yz) - xy * (xy * zz - yz * xz) + xz * (xy * yz - yy * xz)
    half = min(max(determinant / (2.0 * size**3), -1.0), 1.0)
    angle = np.arccos(half) / 3.0
    return max(mean + 2.0 * size * np.cos(angle + 2.0 * np.pi / 3.0), 0.0)
