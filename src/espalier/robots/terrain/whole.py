"""A whole cloud at once: overlapping windows, blended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from espalier.core.errors import DataError
from espalier.robots.terrain.clean.doubt import doubts
from espalier.robots.terrain.clean.survey import Survey, survey
from espalier.robots.terrain.cloud.cloud import Cloud
from espalier.robots.terrain.cloud.voxel import voxels
from espalier.robots.terrain.config import MapperConfig
from espalier.robots.terrain.estimate import Estimate, estimate_from
from espalier.robots.terrain.features.geometric import Geometry, geometry
from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.grid.smooth import smooth
from espalier.robots.terrain.grid.spread import spread
from espalier.robots.terrain.grid.terrain_map import LAYERS, TerrainMap

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
OVERLAP = 0.25
"""Of a window's side, that it shares with each neighbour; there the weight of each falls to nothing."""
MARGIN_M = 0.5
FEW = 10
"""A window of fewer points says nothing."""
MOST_CELLS = 100_000_000
FARTHEST_M = 1e12
GROUND_M = 1.0
"""Side of the squares whose lowest point is taken for the ground under a ceiling."""


def build(cloud: Cloud, config: MapperConfig, progress: Callable[[float], None] | None = None) -> TerrainMap:
    """The map of a cloud in the world, by the stages of an update in each window. There is no fusion over time, so that
    `fusion`, `clock`, `min_points` and `keep_tiles` have no say; a ceiling is above the lowest points around.

    progress: told the share that is done. Raises DataError where the cloud is so wide that the map has no place in
    memory: an outlier, or the wrong unit.
    """
    _check_size(cloud, config)
    points, found = _surveyed(cloud.points, config)
    frame = Frame.covering(points[:, :2].min(0), points[:, :2].max(0), config.window.cell_m)
    buckets = Buckets(points, config.window.size_m)
    windows = list(_windows(frame, config))
    layers, weight = np.zeros((6, *frame.shape)), np.zeros(frame.shape)
    with ThreadpoolController().limit(limits=1, user_api="blas"):
        for number, window in enumerate(windows):
            inside = buckets.within(window.bounds, MARGIN_M)
            if len(inside) >= FEW:
                part = Geometry(*(values[inside] for values in found.geometry))
                rng = np.random.default_rng((config.seed, number))
                view = estimate_from(points[inside], part, window, config, rng)
                _add(layers, weight, view, frame, window)
            if progress is not None:
                progress((number + 1) / len(windows))
    if not weight.any():
        raise DataError(
            f"{cloud.source or 'the cloud'} is too thin to map: no window of {config.window.size_m:g} m has {FEW} "
            "points. Take a larger window (window.size_m) and larger cells"
        )
    ground = _finished(layers, weight, frame, config, points)
    dropped = {**cloud.dropped, **found.dropped}
    return replace(ground, dropped=dropped, warnings=doubts(points, found, frame, ground["elevation"]))


def _surveyed(points: Floats, config: MapperConfig) -> tuple[Floats, Survey]:
    """The points that are mapped, and their geometry."""
    found = survey(points, config.features.neighbours, clean=config.drop_outliers)
    points = points[found.kept]
    if config.ceiling_m is not None:
        points = below(points, config.ceiling_m)
        found = replace(found, geometry=geometry(points, config.features.neighbours))
    return points, found


def _check_size(cloud: Cloud, config: MapperConfig) -> None:
    wide, high = (cloud.high[:2] - cloud.low[:2]).tolist()
    cells = (wide / config.window.cell_m + 1) * (high / config.window.cell_m + 1)
    if not cells <= MOST_CELLS or np.abs(cloud.points).max() > FARTHEST_M:
        raise DataError(
            f"{cloud.source or 'the cloud'} spans {wide:.6g} x {high:.6g} m, {cells:.3g} cells of "
            f"{config.window.cell_m:g} m: remove outliers, check the unit, or take larger cells (cell_m)"
        )


def below(points: Floats, ceiling_m: float) -> Floats:
    """Those of (n, 3) points that lie less than the ceiling above the lowest point within about a metre. Ours."""
    squares, m = voxels(points[:, :2], GROUND_M)
    lowest = np.full(m, np.inf)
    np.minimum.at(lowest, squares, points[:, 2])
    return points[points[:, 2] <= lowest[squares] + ceiling_m]


def _windows(frame: Frame, config: MapperConfig) -> Iterator[Frame]:
    side = max(round(config.window.size_m / frame.cell_m), 1)
    step = max(round(side * (1.0 - OVERLAP)), 1)
    for row in _starts(frame.rows, side, step):
        for col in _starts(frame.cols, side, step):
            rows, cols = min(side, frame.rows), min(side, frame.cols)
            yield Frame(frame.cell_m, frame.row + row, frame.col + col, rows, cols)


def _starts(cells: int, side: int, step: int) -> list[int]:
    """Where windows begin so that they cover all cells and none reaches beyond."""
    last = max(cells - side, 0)
    return [*range(0, last, step), last]


def _add(layers: Floats, weight: Floats, view: Estimate, frame: Frame, window: Frame) -> None:
    rows = slice(window.row - frame.row, window.row - frame.row + window.rows)
    cols = slice(window.col - frame.col, window.col - frame.col + window.cols)
    share = np.outer(_taper(window.rows), _taper(window.cols)) * view.observed
    values = (view.elevation, view.variance, view.slope, view.curvature, view.step, view.cost)
    layers[:, rows, cols] += share * np.stack(values)
    weight[rows, cols] += share


def _taper(cells: int) -> Floats:
    """Full in the middle, falling linearly over the overlap to little at the ends."""
    ramp = max(round(OVERLAP * cells), 1)
    ends = np.minimum(np.arange(cells), np.arange(cells)[::-1])
    return np.minimum((ends + 1) / ramp, 1.0)


def _finished(layers: Floats, weight: Floats, frame: Frame, config: MapperConfig, points: Floats) -> TerrainMap:
    known = weight > 0.0
    mean = np.where(known, layers / np.where(known, weight, 1.0), np.nan)
    deviation = np.sqrt(spread(points, frame, mean[0], mean[1])).astype(np.float32)
    elevation, _, slope, roughness, step, cost = mean.astype(np.float32)
    named = {
        "elevation": elevation,
        "uncertainty": deviation,
        "slope": slope,
        "roughness": roughness,
        "step": step,
        "cost": smooth(cost, config.smooth.sigma_m / frame.cell_m),
        "observed": known.astype(np.float32),
    }
    return TerrainMap(frame, {name: named[name] for name in LAYERS})


class Buckets:
    """Points (n, 3) by squares of `side_m` as seen from above, so that a window looks at its neighbourhood only."""

    def __init__(self, points: Floats, side_m: float) -> None:
        self._points, self._side = points, side_m
        cells = np.floor(points[:, :2] / side_m).astype(np.int64)
        self._order = np.lexsort((cells[:, 1], cells[:, 0]))
        self._cells = cells[self._order]

    def within(self, bounds: tuple[float, float, float, float], margin_m: float) -> Ints:
        """Ascending indices of the points in `bounds` (least x, least y, greatest x, greatest y) and a margin."""
        low, high = np.array(bounds[:2]) - margin_m, np.array(bounds[2:]) + margin_m
        (first, bottom), (last, top) = (np.floor(at / self._side).astype(int).tolist() for at in (low, high))
        parts = [self._order[self._range(col, bottom, top)] for col in range(first, last + 1)]
        found = np.concatenate(parts)
        xy = self._points[found, :2]
        return np.sort(found[((xy >= low) & (xy <= high)).all(1)])

    def _range(self, col: int, bottom: int, top: int) -> slice:
        start, end = np.searchsorted(self._cells[:, 0], [col, col + 1])
        rows = self._cells[start:end, 1]
        return slice(int(start + np.searchsorted(rows, bottom)), int(start + np.searchsorted(rows, top + 1)))
