"""Points that have nothing around them: a few far above or below a surface, and, many, clutter that fills the air."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FINE = 8.0
"""Voxels for each point where clutter is counted: so many that a cloud which is half clutter has empty places."""
COARSE = 1.0
"""Voxels for each point where lone points are looked for."""
THICK = 5.0
"""The box of a cloud is taken as at least so many times as thick, in each direction, as its points are apart on the
largest face of the box: so thin ground, a wall or a line is a surface in it and not what fills it."""
FEW = 3
"""Points in a block of 3 x 3 x 3 voxels, at most, that are lone."""
GROUND = 12
"""Points above or below a lone one, in its nine columns, at least. Without them it is sparse ground far away."""


LEAST_M = 1e-6
MOST, GROWTH = 4.0, 1.3
"""Times as many voxels as were meant may there be, since those at the border stick out; else they grow."""


class Voxels(NamedTuple):
    """cells: (n,) number of the voxel of each point. counts: points in each voxel, (x, y, z). side_m: of a voxel."""

    cells: Ints
    counts: Ints
    side_m: float


def detached(points: Floats) -> Bools:
    """(n,): whether a point of (n, 3) is one of a few that stand alone above or below a surface. Ours."""
    found = _voxels(points, COARSE)
    around, columns = _summed(found.counts, (0, 1, 2)), _summed(found.counts.sum(2), (0, 1))
    apart = (around <= FEW) & (columns[..., None] - around >= GROUND)
    return apart.reshape(-1)[found.cells]


def intensity(points: Floats) -> float:
    """Points a cubic metre of clutter, spread evenly through the box of (n, 3) points.

    Told by single points that have nothing around them, against empty voxels that have nothing around them: near a
    surface there are neither, so it does not matter what else is in the box. Ours.
    """
    found = _voxels(points, FINE)
    around = _summed(np.minimum(found.counts, 2).astype(np.uint8), (0, 1, 2))
    singles, empties = int(np.count_nonzero((around == 1) & (found.counts == 1))), int(np.count_nonzero(around == 0))
    return singles / max(empties, 1) / found.side_m**3


def _voxels(points: Floats, per_point: float) -> Voxels:
    low, high = points.min(0), points.max(0)
    _, width, length = np.sort(high - low).tolist()
    apart = max(math.sqrt(width * length / len(points)), length / len(points), LEAST_M)
    side = np.maximum(high - low, THICK * apart)
    voxel = float(np.cbrt(side.prod() / (per_point * len(points))))
    while np.ceil(side / voxel).prod() > MOST * per_point * len(points):  # in a long and narrow box
        voxel *= GROWTH
    dims = np.maximum(np.ceil(side / voxel).astype(np.int64), 1)
    x, y, z = np.minimum(((points - low) / voxel).astype(np.int64), dims - 1).T
    cells = (x * dims[1] + y) * dims[2] + z
    return Voxels(cells, np.bincount(cells, minlength=int(dims.prod())).reshape(dims), voxel)


def _summed(counts: npt.NDArray[np.integer], axes: tuple[int, ...]) -> npt.NDArray[np.integer]:
    """Of each cell and its neighbours along the axes."""
    for axis in axes:
        line = np.moveaxis(counts, axis, 0)
        total = line.copy()
        total[1:] += line[:-1]
        total[:-1] += line[1:]
        counts = np.moveaxis(total, 0, axis)
    return counts
