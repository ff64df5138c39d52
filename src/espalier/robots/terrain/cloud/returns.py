"""The kernel of the simulated lidar: which point each beam meets first."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@njit(cache=True)
def first_returns(
    points: Floats,
    pose: Floats,
    reach: tuple[float, float],
    bins: tuple[int, int],
    angles: tuple[float, float],
    dark: tuple[float, float],
) -> Ints:  # pragma: no cover
    """Indices of (n, 3) world points, the nearest to the sensor in each bin of azimuth and elevation that has one.

    reach: least and greatest range, metres, both included. bins: how many of azimuth, from -pi up, and of elevation.
    angles: size of a bin of azimuth, and of all of elevation together, half of it below the horizon. dark: first
    azimuth and width of the sector that sees nothing. All radians. The order is by azimuth, then elevation.
    """
    turn = pose[:3, :3].T.copy()
    x0, y0, z0 = pose[0, 3], pose[1, 3], pose[2, 3]
    half, rise = 0.5 * angles[1], angles[1] / bins[1]
    near, far = reach[0] * reach[0], reach[1] * reach[1]
    best = np.full(bins[0] * bins[1], np.inf)
    index = np.full(bins[0] * bins[1], -1)
    for i in range(len(points)):
        dx, dy, dz = points[i, 0] - x0, points[i, 1] - y0, points[i, 2] - z0
        square = dx * dx + dy * dy + dz * dz
        if square < near or square > far or square == 0.0:
            continue
        x = turn[0, 0] * dx + turn[0, 1] * dy + turn[0, 2] * dz
        y = turn[1, 0] * dx + turn[1, 1] * dy + turn[1, 2] * dz
        z = turn[2, 0] * dx + turn[2, 1] * dy + turn[2, 2] * dz
        azimuth = math.atan2(y, x)
        if (azimuth - dark[0]) % (2.0 * math.pi) < dark[1]:
            continue
        elevation = math.atan2(z, math.hypot(x, y))
        if abs(elevation) > half:
            continue
        ray = min(int((azimuth + math.pi) / angles[0]), bins[0] - 1)
        line = min(int((elevation + half) / rise), bins[1] - 1)
        cell = ray * bins[1] + line
        if square < best[cell]:
            best[cell] = square
            index[cell] = i
    return index[index >= 0]
