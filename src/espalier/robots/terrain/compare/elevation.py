"""Elevation mapping: a Kalman filter of the height in each cell, as robots commonly have it."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.grid.tiles import Tiles

Floats = npt.NDArray[np.float64]
HEIGHT, VARIANCE = 0, 1


class ElevationMap:
    """Each cell: a height and its variance, updated by the measured points that fall into it.

    noise_m: of a measured height. drift_m2_per_s: how fast an old height becomes uncertain. Points that disagree with a
    cell by more than `outlier` standard deviations replace it if they are higher and are ignored if they are lower.
    Source: robot-centric elevation mapping (Fankhauser et al., 2014), in the form that is common; ours.
    """

    def __init__(
        self, cell_m: float, *, noise_m: float = 0.02, drift_m2_per_s: float = 1e-4, outlier: float = 2.5
    ) -> None:
        self.cell_m, self.noise_m, self.drift, self.outlier = cell_m, noise_m, drift_m2_per_s, outlier
        self.tiles = Tiles(cell_m, ("height", "variance"))
        self._stamp: float | None = None

    def update(self, world: Floats, stamp: float) -> None:
        """Take in (n, 3) points, in the world, at `stamp` seconds."""
        frame = Frame.covering(world[:, :2].min(0), world[:, :2].max(0), self.cell_m)
        cells = frame.cells(world[:, :2])
        flat = cells[:, 0] * frame.cols + cells[:, 1]
        known = self.tiles.read(frame).reshape(2, -1).astype(np.float64)
        passed = 0.0 if self._stamp is None else max(stamp - self._stamp, 0.0)
        self._stamp = stamp
        height, variance = known[HEIGHT], known[VARIANCE] + self.drift * passed
        self._merge(height, variance, flat, world[:, 2])
        self.tiles.write(frame, np.stack([height, variance]).reshape(2, *frame.shape).astype(np.float32))

    def heights(self, frame: Frame) -> Floats:
        """(rows, cols), NaN where there is none."""
        return self.tiles.read(frame)[HEIGHT].astype(np.float64)

    def _merge(self, height: Floats, variance: Floats, flat: npt.NDArray[np.int64], z: Floats) -> None:
        """All points of a cell as one measurement: their mean, with the variance of a mean."""
        n = height.size
        here = np.isfinite(height[flat])
        spread = np.sqrt(np.where(here, variance[flat], 0.0) + self.noise_m**2)
        off = np.where(here, z - height[flat], 0.0)
        fits = np.abs(off) <= self.outlier * spread
        higher = off > self.outlier * spread
        for accepted, anew in ((fits, False), (higher, True)):
            count = np.bincount(flat[accepted], minlength=n)
            cell = count > 0
            mean = np.bincount(flat[accepted], z[accepted], minlength=n)[cell] / count[cell]
            error = self.noise_m**2 / count[cell]
            fresh = anew | ~np.isfinite(height[cell])
            gain = np.where(fresh, 1.0, variance[cell] / (variance[cell] + error))
            height[cell] = np.where(fresh, mean, height[cell] + gain * (mean - height[cell]))
            variance[cell] = np.where(fresh, error, (1.0 - gain) * variance[cell])
