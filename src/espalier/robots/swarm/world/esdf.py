"""Euclidean signed distance to what is occupied, and its value and gradient between the cells."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.ndimage import distance_transform_edt

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Grid = npt.NDArray[np.float32]


class DistanceField(NamedTuple):
    """values: (nx, ny, nz) metres at the middles of cells, negative inside of obstacles; at least two cells along each
    axis. origin: (3,) the least corner of the first cell. cell_m: side of a cell.
    """

    values: Grid
    origin: Floats
    cell_m: float


def signed_distance(occupancy: Bools, cell_m: float) -> Grid:
    """(nx, ny, nz): metres from each cell's middle to the nearest face of an occupied cell, negative inside.

    Half a cell is taken off the distance to the nearest middle of the other kind, so that it is 0 at the face between
    two cells. Where nothing is occupied it is the diagonal of the grid everywhere; where all is, its negative.
    """
    far = float(np.linalg.norm(occupancy.shape))
    if occupancy.all() or not occupancy.any():
        return np.full(occupancy.shape, cell_m * (-far if occupancy.all() else far), np.float32)
    outside = distance_transform_edt(~occupancy)
    inside = distance_transform_edt(occupancy)
    return ((np.where(occupancy, 0.5 - inside, outside - 0.5)) * cell_m).astype(np.float32)


def look_up(field: DistanceField, points: Floats) -> tuple[Floats, Floats]:
    """(n,) distances, metres, and (n, 3) their exact gradients at (n, 3) points: trilinear between middles of cells.

    Outside of the grid nothing is known to stand. A point there, `out` metres from the nearest point inside, whose
    distance is d, is at least sqrt(out^2 + d^2) from everything; where d is negative, d + out is taken.
    """
    return _look_up(field, np.ascontiguousarray(points, np.float64))


@njit(cache=True)
def _look_up(field: DistanceField, points: Floats) -> tuple[Floats, Floats]:
    values, gradients = np.empty(len(points)), np.empty((len(points), 3))
    for k, (x, y, z) in enumerate(points):
        values[k], gradients[k, 0], gradients[k, 1], gradients[k, 2] = distance_at(field, x, y, z)
    return values, gradients


@njit(cache=True)
def distance_at(field: DistanceField, x: float, y: float, z: float) -> tuple[float, float, float, float]:
    """The distance at a point and its gradient along x, y and z; see `look_up`."""
    grid, origin, cell = field.values, field.origin, field.cell_m
    i, u, over_x = _place((x - origin[0]) / cell - 0.5, grid.shape[0])
    j, v, over_y = _place((y - origin[1]) / cell - 0.5, grid.shape[1])
    k, w, over_z = _place((z - origin[2]) / cell - 0.5, grid.shape[2])
    d, gx, gy, gz = _trilinear(grid, i, j, k, u, v, w)
    if over_x == 0.0 and over_y == 0.0 and over_z == 0.0:
        return d, gx / cell, gy / cell, gz / cell
    over = np.sqrt(over_x**2 + over_y**2 + over_z**2)
    out = over * cell
    if d < 0.0:
        value, inner, outer = d + out, 1.0, 1.0 / over
    else:
        value = np.sqrt(d * d + out * out)
        inner, outer = d / value, cell / value
    return (
        value,
        inner * gx / cell if over_x == 0.0 else outer * over_x,
        inner * gy / cell if over_y == 0.0 else outer * over_y,
        inner * gz / cell if over_z == 0.0 else outer * over_z,
    )


@njit(cache=True)
def _place(at: float, n: int) -> tuple[int, float, float]:
    """The cell before a place along an axis, the share of the way to the next, and by how many cells it is outside."""
    if at < 0.0:
        return 0, 0.0, at
    if at >= n - 1.0:
        return n - 2, 1.0, at - (n - 1.0)
    before = int(at)
    return before, at - before, 0.0


@njit(cache=True)
def _trilinear(grid: Grid, i: int, j: int, k: int, u: float, v: float, w: float) -> tuple[float, float, float, float]:
    """Value and gradient, per cell, at shares u, v, w of the way from cell (i, j, k) to the next along each axis."""
    a00, a01, a10, a11 = grid[i, j, k], grid[i, j, k + 1], grid[i, j + 1, k], grid[i, j + 1, k + 1]
    b00, b01, b10, b11 = grid[i + 1, j, k], grid[i + 1, j, k + 1], grid[i + 1, j + 1, k], grid[i + 1, j + 1, k + 1]
    x00, x01, x10, x11 = b00 - a00, b01 - a01, b10 - a10, b11 - a11
    c00, c01, c10, c11 = a00 + u * x00, a01 + u * x01, a10 + u * x10, a11 + u * x11
    y0, y1 = c10 - c00, c11 - c01
    low, high = c00 + v * y0, c01 + v * y1
    x0, x1 = x00 + v * (x10 - x00), x01 + v * (x11 - x01)
    return low + w * (high - low), x0 + w * (x1 - x0), y0 + w * (y1 - y0), high - low
