"""Points that stand together: the largest set in which each has enough others around it."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

EXPECTED = 3.0
"""Points of the clutter in the ball around a point."""
ENOUGH = 7
"""Others that a point needs in that ball. Clutter alone has no such set: one in 35 points has so many around it, and
hardly any of those are of that kind too."""
ENDS = 1000
"""Of so many points less than one is lost in a round: then it is over."""
ROOT = math.sqrt(3.0)
CELLS, MOST, GROWTH = 1_000_000, 20.0, 1.3
"""So many cells, and so many for each point, may there be; else they grow, and fewer points are lost."""
NEAREST_FIRST = (0, -1, 1, -2, 2)


def together(points: Floats, intensity: float) -> Bools:
    """(n,): whether a point of (n, 3) belongs to the set, among clutter of so many points a cubic metre.

    The set is the k-core of the graph of points within a radius of each other; the radius is that within which clutter
    is sparse, and a surface of more than about 2.8 (intensity)^(2/3) points a square metre is not. Ours, after the
    nearest-neighbour clutter removal of Byers and Raftery (1998).
    """
    radius = float(np.cbrt(EXPECTED / (4.0 / 3.0 * math.pi * intensity)))
    low, high = points.min(0), points.max(0)
    while (np.floor((high - low) / radius * ROOT) + 1.0).prod() > CELLS + MOST * len(points):
        radius *= GROWTH
    side = radius / ROOT  # two points of one cell are neighbours
    dims = np.floor((high - low) / side).astype(np.int64) + 1
    cells = ((points - low) / side).astype(np.int64)
    flat = (cells[:, 0] * dims[1] + cells[:, 1]) * dims[2] + cells[:, 2]
    order = np.argsort(flat, kind="stable")
    counts = np.bincount(flat, minlength=int(dims.prod()))
    starts = np.concatenate([[0], np.cumsum(counts)])
    kept = np.empty(len(points), bool)
    kept[order] = _peeled(points[order], cells[order], starts, counts, dims, radius * radius)
    return kept


@njit(cache=True)
def _peeled(
    points: Floats, cells: Ints, starts: Ints, alive: Ints, dims: Ints, square: float
) -> Bools:  # pragma: no cover
    """Points in the order of their cells; alive: points of each cell that are left, changed here."""
    n = len(points)
    kept = np.ones(n, np.bool_)
    lost = n
    while lost * ENDS > n:
        lost = 0
        for i in range(n):
            x, y, z = cells[i]
            if not kept[i] or alive[(x * dims[1] + y) * dims[2] + z] > ENOUGH:
                continue
            if not _supported(points, kept, starts, dims, (x, y, z), i, square):
                kept[i] = False
                alive[(x * dims[1] + y) * dims[2] + z] -= 1
                lost += 1
    return kept


@njit(cache=True)
def _supported(
    points: Floats,
    kept: Bools,
    starts: Ints,
    dims: Ints,
    cell: tuple[int, int, int],
    i: int,
    square: float,
) -> bool:  # pragma: no cover
    """Whether enough kept points lie within the radius of point `i`; a radius spans less than two cells."""
    found = -1  # the point itself
    px, py, pz = points[i]
    low, high = max(cell[2] - 2, 0), min(cell[2] + 2, dims[2] - 1)
    for across in NEAREST_FIRST:
        for along in NEAREST_FIRST:
            x, y = cell[0] + across, cell[1] + along
            if not (0 <= x < dims[0] and 0 <= y < dims[1]):
                continue
            column = (x * dims[1] + y) * dims[2]
            for j in range(starts[column + low], starts[column + high + 1]):
                dx, dy, dz = points[j, 0] - px, points[j, 1] - py, points[j, 2] - pz
                if kept[j] and dx * dx + dy * dy + dz * dz <= square:
                    found += 1
                    if found >= ENOUGH:
                        return True
    return False
