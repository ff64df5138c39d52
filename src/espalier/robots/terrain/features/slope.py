"""Slopes of a height map: of planes fitted around each cell, or plain differences."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import correlate1d

Floats = npt.NDArray[np.float64]
REACH = 3.0
"""Standard deviations that a fit looks at."""
LEAST = 1e-3
"""Spread of the known cells around a cell, in squared cells, below which no plane can be fitted."""


def plane_slopes(elevation: Floats, cell_m: float, sigma_m: float) -> Floats:
    """Rise over run of (rows, cols) heights, by a plane through the known cells around each, weighted by exp(-d^2 / 2
    sigma^2); by differences in a strip of one row or column. Exact on planes, also at borders and beside NaN; NaN where
    no plane can be fitted. Ours: central differences of a smoothed map, without the bias that smoothing has at borders.
    """
    sigma = sigma_m / cell_m
    if sigma <= 0.0 or min(elevation.shape) == 1:
        return differences(elevation, cell_m)
    known = np.isfinite(elevation)
    offset = np.arange(-max(round(REACH * sigma), 1), max(round(REACH * sigma), 1) + 1)
    bell = np.exp(-0.5 * (offset / sigma) ** 2)
    powers = (bell, bell * offset, bell * offset**2)

    def moment(values: Floats, by_y: int, by_x: int) -> Floats:
        along_y = correlate1d(values, powers[by_y], axis=0, mode="constant")
        return correlate1d(along_y, powers[by_x], axis=1, mode="constant")

    mask, heights = known.astype(np.float64), np.where(known, elevation, 0.0)
    total = np.maximum(moment(mask, 0, 0), 1e-12)
    x, y, z = (moment(values, *by) / total for values, by in ((mask, (0, 1)), (mask, (1, 0)), (heights, (0, 0))))
    xx, yy = moment(mask, 0, 2) / total - x * x, moment(mask, 2, 0) / total - y * y
    xy, xz = moment(mask, 1, 1) / total - x * y, moment(heights, 0, 1) / total - x * z
    yz = moment(heights, 1, 0) / total - y * z
    spread = xx * yy - xy * xy
    with np.errstate(divide="ignore", invalid="ignore"):
        rise = np.hypot(xz * yy - yz * xy, yz * xx - xz * xy) / spread / cell_m
    return np.where(known & (spread > LEAST), rise, np.nan)


def differences(elevation: Floats, cell_m: float) -> Floats:
    """Rise over run by central differences; one-sided at the border and beside NaN."""
    by_y, by_x = (_difference(elevation, axis) for axis in (0, 1))
    return np.hypot(by_y, by_x) / cell_m


def _difference(values: Floats, axis: int) -> Floats:
    v = np.moveaxis(values, axis, 0)
    edge = np.full((1, *v.shape[1:]), np.nan)
    ahead, behind = np.concatenate([v[1:], edge]) - v, v - np.concatenate([edge, v[:-1]])
    both = 0.5 * (ahead + behind)
    either = np.where(np.isfinite(ahead), ahead, np.where(np.isfinite(behind), behind, v - v))
    return np.moveaxis(np.where(np.isfinite(both), both, either), 0, axis)
