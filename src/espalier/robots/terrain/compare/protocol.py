"""The protocol of the published table: a robot drives over a cloud and maps it, and every window is judged."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
import numpy.typing as npt
from threadpoolctl import ThreadpoolController

from espalier.robots.terrain.cloud.cloud import Scan
from espalier.robots.terrain.cloud.lidar import LidarConfig, SpinningLidar
from espalier.robots.terrain.compare.config import MethodName
from espalier.robots.terrain.compare.methods import METHODS, Method
from espalier.robots.terrain.compare.truth import Truth, truth
from espalier.robots.terrain.config import MapperConfig
from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.ground import Ground

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """error, variance: of |estimate - truth| over the cells of a window, mean over windows. ms: median of an update."""

    error: float
    variance: float
    ms: float
    by_scan: tuple[float, ...]


def circle(points: Floats, scans: int, sensor_height_m: float) -> Iterator[Floats]:
    """Poses on a circle around the middle of a cloud, half way to its border, above the ground that is there."""
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    middle, radius = 0.5 * (low + high), 0.25 * float((high - low).min())
    ground = Ground(points)
    for k in range(scans):
        angle = 2.0 * math.pi * k / scans
        x, y = (middle + radius * np.array([math.cos(angle), math.sin(angle)])).tolist()
        yield ground.pose(x, y, angle + 0.5 * math.pi, sensor_height_m)


def scans_of(points: Floats, lidar: LidarConfig, poses: Iterator[Floats], seed: int) -> list[Scan]:
    """What a lidar sees from each pose."""
    return list(SpinningLidar(lidar).drive(points, poses, np.random.default_rng(seed)))


def judge(
    points: Floats, scans: Sequence[Scan], names: Sequence[MethodName], config: MapperConfig
) -> dict[str, Judged]:
    """Each method on the same scans, against the cost of the whole cloud."""
    cell = config.window.cell_m
    size = config.window.size_m
    frames = [Frame.around(float(scan.pose[0, 3]), float(scan.pose[1, 3]), size, cell) for scan in scans]
    lowest = np.min([frame.bounds[:2] for frame in frames], axis=0)
    highest = np.max([frame.bounds[2:] for frame in frames], axis=0) - 0.5 * cell
    known = truth(points, Frame.covering(lowest + 0.5 * cell, highest, cell), config.cost, config.features.neighbours)
    return {name: _one(METHODS[name](config), scans, frames, known) for name in names}


def _one(method: Method, scans: Sequence[Scan], frames: Sequence[Frame], known: Truth) -> Judged:
    errors, variances, times = [], [], []
    threads = ThreadpoolController()
    for scan, frame in zip(scans, frames, strict=True):
        begun = perf_counter()
        with threads.limit(limits=1, user_api="blas"):
            found = method(scan, frame)
        times.append(1000.0 * (perf_counter() - begun))
        row, col = frame.row - known.frame.row, frame.col - known.frame.col
        right = known.cost[row : row + frame.rows, col : col + frame.cols]
        off = np.abs(found - right)[np.isfinite(right)]
        errors.append(float(off.mean()))
        variances.append(float(off.var()))
    return Judged(float(np.mean(errors)), float(np.mean(variances)), float(np.median(times)), tuple(errors))
