"""The map around a robot, scan by scan."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from espalier.core.errors import DataError
from espalier.robots.terrain.clean.doubt import doubts
from espalier.robots.terrain.clean.sight import seen_through
from espalier.robots.terrain.clean.survey import survey
from espalier.robots.terrain.cloud.cloud import Scan, as_points
from espalier.robots.terrain.cloud.frames import check_frame, pose_matrix, transform
from espalier.robots.terrain.cloud.unusable import NO_RETURN, NOT_FINITE, at_sensor, sort_out
from espalier.robots.terrain.config import MapperConfig
from espalier.robots.terrain.estimate import Estimate, estimate_from
from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.grid.fusion import blend, blurred, weigh
from espalier.robots.terrain.grid.smooth import smooth
from espalier.robots.terrain.grid.terrain_map import LAYERS, TerrainMap
from espalier.robots.terrain.grid.tiles import Cells, Tiles
from espalier.robots.terrain.order import Order, Verdict

Floats = npt.NDArray[np.float64]
Pose = Floats | Sequence[float]
FUSED = ("elevation", "variance", "slope", "roughness", "step", "cost")
"""What is averaged over time. The variance of the elevation is averaged too, and not lowered: scans of the same ground
err alike. Then come the variance that a cell is weighed by, and the time it was last estimated.
"""
ELEVATION = FUSED.index("elevation")
WEIGHT, TIME = len(FUSED), len(FUSED) + 1
NAMES = (*FUSED, "weight", "time")
MARGIN_M = 0.5
"""Points so far outside of the window still count for the cells at its border."""


@dataclass(frozen=True)
class MapUpdate:
    """map: the window after the update, or as it was where the scan was left out. verdict: which, and why. estimate:
    what this scan alone says. used: points. dropped: points that were not used, by reason. ms: of each stage. cleared:
    cells that were forgotten, for this scan sees through them.
    """

    map: TerrainMap
    verdict: Verdict
    estimate: Estimate | None = None
    used: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    ms: dict[str, float] = field(default_factory=dict)
    cleared: int = 0

    @property
    def total_ms(self) -> float:
        """Of all stages."""
        return sum(self.ms.values())


class TraversabilityMapper:
    """Give it scans with poses; it keeps a map of the world in tiles. tiles: a folder for those that are far away, from
    which an earlier map goes on.

    Source: FSGP-BGK (arXiv 2503.04134); see `MapperConfig` for what is ours.
    """

    def __init__(self, config: MapperConfig | None = None, *, tiles: Path | None = None) -> None:
        self.config = config or MapperConfig()
        self.tiles = Tiles(self.config.window.cell_m, NAMES, keep=self.config.keep_tiles, folder=tiles)
        self.order = Order(self.config.clock, self.tiles.time)
        self.scans = self.used = 0
        self._threads = ThreadpoolController()
        self._frame = Frame.around(0.0, 0.0, self.config.window.size_m, self.config.window.cell_m)

    def add(self, scan: Scan) -> MapUpdate:
        """`update` with a scan from a file or a simulated sensor."""
        return self.update(scan.points, scan.pose, scan.stamp)

    def update(self, points: Floats, pose: Pose | None = None, stamp: float | None = None) -> MapUpdate:
        """Take in (n, 3) points of a sensor at `pose`: a 4 x 4 matrix from its frame to the world's, or (x, y, z, yaw),
        or None where the points are in the world already and the window is around their median. stamp: seconds, any
        origin; without one scans are 0.1 s apart.

        Points that are not finite are counted and not used. Raises DataError for arrays that make no sense.
        """
        begun = perf_counter()
        points, matrix = as_points(points), None if pose is None else _matrix(pose)
        stamp = 0.1 * self.scans if stamp is None else float(stamp)
        if not np.isfinite(stamp):
            raise DataError(f"the stamp is {stamp}; it is a number of seconds")
        self.scans += 1
        world, dropped, place = self._world(points, matrix)
        frame = Frame.around(place[0], place[1], self.config.window.size_m, self.config.window.cell_m)
        world = _near(world, frame, dropped)
        ms = {"points": 1000.0 * (perf_counter() - begun)}
        begun = perf_counter()
        ground = survey(world, self.config.features.neighbours, clean=self.config.drop_outliers, sensor=matrix)
        world, dropped = world[ground.kept], dropped | ground.dropped
        ms["features"] = 1000.0 * (perf_counter() - begun)
        if len(world) < self.config.min_points:
            return MapUpdate(self._window(self._frame), Verdict.EMPTY, dropped=dropped)
        verdict = self.order.judge(stamp, None if matrix is None else (float(place[0]), float(place[1])))
        if not verdict.used:
            return MapUpdate(self._window(self._frame), verdict, dropped=dropped)
        self.used += 1
        if verdict is Verdict.JUMP:
            self.tiles.clear()
        self._frame = frame
        rng = np.random.default_rng((self.config.seed, self.used))
        with self._threads.limit(limits=1, user_api="blas"):
            found = estimate_from(world, ground.geometry, frame, self.config, rng)
        ms |= found.ms
        begun = perf_counter()
        cleared = 0 if matrix is None else self._clear(matrix[:3, 3], world, frame)
        self._fuse(found, frame)
        warnings = doubts(world, ground, frame, found.elevation)
        window = replace(self._window(frame), dropped=dropped, warnings=warnings)
        ms["fusion"] = 1000.0 * (perf_counter() - begun)
        return MapUpdate(window, verdict, found, len(world), dropped, ms, cleared)

    def map(self, frame: Frame | None = None) -> TerrainMap:
        """What is known of a frame, by default of the smallest that holds all of it. DataError where nothing is."""
        if frame is not None:
            return self._window(frame)
        frame = self.tiles.extent()
        known = np.isfinite(self.tiles.read(frame)[WEIGHT]) if frame is not None else np.zeros((1, 1), bool)
        rows, cols = np.flatnonzero(known.any(1)), np.flatnonzero(known.any(0))
        if frame is None or not rows.size:
            raise DataError("the map is empty: no scan has shown any ground yet")
        row, col = frame.row + int(rows[0]), frame.col + int(cols[0])
        return self._window(Frame(frame.cell_m, row, col, int(np.ptp(rows)) + 1, int(np.ptp(cols)) + 1))

    def save_tiles(self) -> None:
        """Write all tiles to their folder, so that another mapper goes on from them. Raises DataError without one."""
        self.tiles.flush(self.order.time)

    def _world(self, points: Floats, matrix: Floats | None) -> tuple[Floats, dict[str, int], Floats]:
        """Finite points below the ceiling, in the world; what was dropped; and where the robot is."""
        good, reasons = sort_out(points)
        dropped, world = {NOT_FINITE: 0, **reasons}, points[good]
        if matrix is not None:
            world = _returned(world, dropped)
            check_frame(world, matrix)
            world = transform(world, matrix)
        place = matrix[:3, 3] if matrix is not None else np.median(world, 0) if len(world) else np.zeros(3)
        if self.config.ceiling_m is not None:
            below = world[:, 2] <= place[2] - self.config.sensor_height_m + self.config.ceiling_m
            dropped["above the ceiling"] = int((~below).sum())
            world = world[below]
        return world, dropped, place

    def _clear(self, sensor: Floats, world: Floats, frame: Frame) -> int:
        """Forget cells that this scan sees through; how many."""
        if not self.config.drop_outliers:
            return 0
        before = self.tiles.read(frame)
        gone = seen_through(sensor, world, frame, before[ELEVATION])
        if gone.any():
            self.tiles.write(frame, np.where(gone, np.float32(np.nan), before))
        return int(np.count_nonzero(gone))

    def _fuse(self, found: Estimate, frame: Frame) -> None:
        before = self.tiles.read(frame)
        age = np.maximum(self.order.time - before[TIME], 0.0)
        known = np.where(age <= self.config.clock.forget_s, before[WEIGHT], np.nan)
        layers = (found.elevation, found.variance, found.slope, found.curvature, found.step, found.cost)
        now = blurred(found.variance, found.radius, self.config.fusion)
        weights = weigh(known, now, age, self.config.fusion)
        fused = blend(before[:WEIGHT], np.stack(layers), weights)
        after = np.concatenate([fused, weights.variance[None], np.full((1, *frame.shape), self.order.time)])
        certain = found.variance <= self.config.fusion.gate_std_m**2
        used = found.observed & (certain | np.isnan(known))
        self.tiles.write(frame, np.where(used, after, before).astype(np.float32))

    def _window(self, frame: Frame) -> TerrainMap:
        cells: Cells = self.tiles.read(frame)
        cells[:, self.order.time - cells[TIME] > self.config.clock.forget_s] = np.nan
        layers = dict(zip(FUSED, cells[:WEIGHT], strict=True))
        layers["cost"] = smooth(layers["cost"], self.config.smooth.sigma_m / frame.cell_m)
        layers["uncertainty"] = np.sqrt(layers.pop("variance"))
        layers["observed"] = np.isfinite(cells[WEIGHT]).astype(np.float32)
        return TerrainMap(frame, {name: layers[name] for name in LAYERS})


def _returned(points: Floats, dropped: dict[str, int]) -> Floats:
    """Points of the sensor's frame that are not at the sensor itself."""
    bad = at_sensor(points)
    if lost := int(np.count_nonzero(bad)):
        dropped[NO_RETURN] = dropped.get(NO_RETURN, 0) + lost
    return points[~bad]


def _near(world: Floats, frame: Frame, dropped: dict[str, int]) -> Floats:
    left, bottom, right, top = frame.bounds
    x, y = world[:, 0], world[:, 1]
    inside = (x >= left - MARGIN_M) & (x <= right + MARGIN_M) & (y >= bottom - MARGIN_M) & (y <= top + MARGIN_M)
    dropped["outside the window"] = int((~inside).sum())
    return world[inside]


def _matrix(pose: Pose) -> Floats:
    """A pose as a matrix; `check_frame` says whether it makes sense."""
    given = np.asarray(pose, np.float64)
    return pose_matrix(*given.tolist()) if given.shape == (4,) else given
