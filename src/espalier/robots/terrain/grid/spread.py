"""How far points lie above and below a map: its uncertainty as seen by whoever measures there again."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

from espalier.robots.terrain.grid.frame import Frame

Floats = npt.NDArray[np.float64]

SIGMA = 1.5
"""Cells: the spread of a cell is that of the points around it, weighted by a Gaussian of this width."""
PRIOR = 0.5
"""Points that the prior counts as."""
NORMAL = 0.4549
"""Median of the square of a standard normal number."""


def spread(points: Floats, frame: Frame, elevation: Floats, variance: Floats) -> Floats:
    """(rows, cols): variance of the height of a point of a cell about the elevation (rows, cols).

    From the points (n, 3) themselves, so that it holds their noise, what is rough or steep in a cell, and what the map
    misses; where there are none, the `variance` (rows, cols) of the elevation and what is usual. Ours.
    """
    cells = frame.cells(points[:, :2])
    inside = frame.inside(cells)
    flat = cells[inside] @ np.array([frame.cols, 1])
    squares = (points[inside, 2] - elevation.reshape(-1)[flat]) ** 2
    flat, squares = flat[np.isfinite(squares)], squares[np.isfinite(squares)]
    usual = float(np.median(squares)) / NORMAL if len(squares) else 0.0
    count, total = (
        gaussian_filter(_sums(flat, weights, frame), SIGMA, mode="constant") * (2.0 * np.pi * SIGMA**2)
        for weights in (None, squares)
    )
    out: Floats = (total + PRIOR * (usual + variance)) / (count + PRIOR)
    return out


def _sums(flat: npt.NDArray[np.int64], weights: Floats | None, frame: Frame) -> Floats:
    sums = np.bincount(flat, weights, minlength=frame.rows * frame.cols)
    return sums.reshape(frame.shape).astype(np.float64)
