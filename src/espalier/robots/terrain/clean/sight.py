"""What a scan sees through: ground that the map still holds where rays pass below it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit
from scipy.ndimage import maximum_filter

from espalier.robots.terrain.grid.frame import Frame

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

BELOW_M = 0.3
"""A ray that passes a cell so far below its elevation passes through it."""
RAYS = 3
"""Rays that are needed: one may be an outlier itself."""
END_M = 0.5
"""The last part of a ray, which shows the surface that it hit, says nothing."""
ABOVE_M = 0.2
"""A sensor that is not so far above the ground that it stands on has no view over it."""


def seen_through(sensor: Floats, points: Floats, frame: Frame, elevation: Floats) -> Bools:
    """(rows, cols): cells whose known elevation (NaN: unknown) cannot be there, for several rays of this scan pass well
    below it, and nothing of this scan was hit in them or beside them. sensor: (3,). points: (n, 3); both in the world.

    Source: the visibility clean-up of elevation mapping (Fankhauser et al., 2018); over cells and not points, ours.
    """
    through = np.zeros(frame.shape, bool)
    here = frame.cells(sensor[None, :2])
    if not frame.inside(here)[0] or not sensor[2] - elevation[tuple(here[0])] >= ABOVE_M:
        return through
    hit = np.zeros(frame.shape, bool)
    cells = frame.cells(points[:, :2])
    hit[tuple(cells[frame.inside(cells)].T)] = True
    corner = np.array([frame.col, frame.row]) * frame.cell_m
    passed = _passed(sensor, points, corner, frame.cell_m, np.ascontiguousarray(elevation, np.float64))
    return (passed >= RAYS) & ~maximum_filter(hit, 3)


@njit(cache=True)
def _passed(
    sensor: Floats, points: Floats, corner: Floats, cell_m: float, elevation: Floats
) -> Ints:  # pragma: no cover
    """(rows, cols): rays that pass below the elevation of a cell."""
    rows, cols = elevation.shape
    out = np.zeros((rows, cols), np.int64)
    for i in range(len(points)):
        dx, dy, dz = points[i, 0] - sensor[0], points[i, 1] - sensor[1], points[i, 2] - sensor[2]
        length = np.hypot(dx, dy)
        if length <= END_M:
            continue
        last = -1
        for k in range(int((length - END_M) / (0.5 * cell_m))):
            share = k * 0.5 * cell_m / length
            col = int(np.floor((sensor[0] + share * dx - corner[0]) / cell_m))
            row = int(np.floor((sensor[1] + share * dy - corner[1]) / cell_m))
            if not (0 <= row < rows and 0 <= col < cols):
                break
            if row * cols + col != last and elevation[row, col] - (sensor[2] + share * dz) > BELOW_M:
                last = row * cols + col
                out[row, col] += 1
    return out
