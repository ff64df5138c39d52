"""Fewer points that still cover the ground: means of voxels, and a choice spread evenly over the area."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

MOST = 2.0**62
"""Voxels of a box that can be numbered."""
GROWTH = 1.3


class Means(NamedTuple):
    """means: (m, 3 + k). counts: (m,) points in each voxel."""

    means: Floats
    counts: Ints


def voxels(points: Floats, size_m: float) -> tuple[Ints, int]:
    """(n,): for each of (n, d) points the number of its cube of side `size_m`, and how many cubes are occupied.

    Cubes are anchored at the origin and numbered by their first coordinate, then the second, and so on. Raises
    DataError where the points lie so far apart that the cubes cannot be numbered.
    """
    if not len(points):
        return np.zeros(0, np.int64), 0
    cells = [np.floor(column / size_m) for column in points.T]
    cells = [cell - cell.min() for cell in cells]
    sides = [float(cell.max()) + 1 for cell in cells]
    if not math.prod(sides) < MOST:
        raise DataError(
            f"points lie {max(sides) * size_m:.3g} m apart, too far for voxels of {size_m:g} m; remove the outliers, "
            "or take larger voxels"
        )
    keys = np.zeros(len(points), np.int64)
    for cell, side in zip(cells, sides, strict=True):
        keys = keys * int(side) + cell.astype(np.int64)
    occupied, numbers = np.unique(keys, return_inverse=True)
    return numbers, len(occupied)


def voxel_means(points: Floats, size_m: float) -> Means:
    """The mean of the points in each occupied cube of side `size_m`. points: (n, 3 + k), x, y, z and further columns
    that are averaged along.
    """
    numbers, m = voxels(points[:, :3], size_m)
    counts = np.bincount(numbers, minlength=m)
    means = [  # sums of differences keep the digits of large coordinates
        np.bincount(numbers, column - column[:1], m) / counts + column[:1] for column in points.T
    ]
    return Means(np.stack(means, axis=-1), counts)


def spread(points: Floats, count: int, rng: np.random.Generator) -> Ints:
    """Ascending indices of `count` of (n, 2 + k) points, all if there are fewer, spread over x and y.

    The area is cut into at most `count` squares with points; a random point of each is taken, then a second of those
    that have one, until there are enough. Ours: where FSGP-BGK draws uniformly.
    """
    n = len(points)
    if count >= n:
        return np.arange(n)
    if not count:
        return np.zeros(0, np.int64)
    shuffled = rng.permutation(n)
    numbers = _squares(points[shuffled, :2], count)
    order = np.argsort(numbers, kind="stable")
    starts = np.flatnonzero(np.diff(numbers[order], prepend=-1))
    turns = np.empty(n, np.int64)
    turns[order] = np.arange(n) - np.repeat(starts, np.diff(starts, append=n))
    return np.sort(shuffled[np.argsort(turns, kind="stable")[:count]])


def _squares(xy: Floats, count: int) -> Ints:
    """(n,): the square that each point lies in, of the smallest (to a third) that make at most `count` of them."""
    width, height = np.ptp(xy, axis=0).tolist()
    side = max(math.sqrt(width / count * height), width / count, height / count) or 1.0
    while True:
        numbers, occupied = voxels(xy - xy.min(0), side)
        if occupied <= count:
            return numbers
        side *= GROWTH
