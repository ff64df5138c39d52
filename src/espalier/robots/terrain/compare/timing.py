"""How long an update takes: the mapper and an elevation map on the same scans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import NamedTuple

import numpy as np

from espalier.robots.terrain.cloud.cloud import Scan
from espalier.robots.terrain.cloud.frames import transform
from espalier.robots.terrain.cloud.lidar import LidarConfig
from espalier.robots.terrain.compare.elevation import ElevationMap
from espalier.robots.terrain.compare.protocol import circle, scans_of
from espalier.robots.terrain.config import MapperConfig, WindowConfig
from espalier.robots.terrain.mapper import TraversabilityMapper
from espalier.robots.terrain.scenes.config import SceneConfig
from espalier.robots.terrain.scenes.scene import make_scene

PARTS = ("points", "features", "inducing", "between", "fit", "predict", "slope", "fusion")
WARM = 3
"""Updates that are not counted: code is compiled in the first."""


class Timing(NamedTuple):
    """Milliseconds: median and 95th percentile of an update, medians of its parts, median of the elevation map's."""

    ms: float
    p95: float
    parts: dict[str, float]
    elevation_ms: float


def usual_scans(number: int = 40, seed: int = 0) -> list[Scan]:
    """About 2,000 points each, over generated hills with trees."""
    points = make_scene(SceneConfig(kind="forest", size_m=14.0, density_per_m2=400.0)).cloud.points
    return scans_of(points, LidarConfig(), circle(points, number, 0.6), seed)


def time_mapper(scans: Sequence[Scan], config: MapperConfig) -> Timing:
    """Both maps on the same scans in turn, each of its window."""
    mapper, other = TraversabilityMapper(config), ElevationMap(config.window.cell_m)
    totals, parts, others = [], [], []
    for scan in scans:
        begun = perf_counter()
        update = mapper.add(scan)
        totals.append(1000.0 * (perf_counter() - begun))
        parts.append([update.ms[name] for name in PARTS])
        begun = perf_counter()
        world = transform(scan.points, scan.pose)
        other.update(world[update.map.frame.inside(update.map.frame.cells(world[:, :2]))], scan.stamp)
        others.append(1000.0 * (perf_counter() - begun))
    medians = np.median(parts[WARM:], axis=0).tolist()
    return Timing(
        float(np.median(totals[WARM:])),
        float(np.quantile(totals[WARM:], 0.95)),
        dict(zip(PARTS, medians, strict=True)),
        float(np.median(others[WARM:])),
    )


def time_updates(
    sizes: Sequence[tuple[float, float]] = ((5.0, 0.2), (5.0, 0.1)),
) -> Iterator[tuple[float, float, Timing]]:
    """Window, cell and times."""
    scans = usual_scans()
    for size, cell in sizes:
        yield size, cell, time_mapper(scans, MapperConfig(window=WindowConfig(size_m=size, cell_m=cell)))
