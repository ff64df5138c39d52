"""The terrain room in three lines, for notebooks and scripts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from espalier.core.config import merged
from espalier.core.data import DataRoot
from espalier.core.errors import DataError
from espalier.robots.terrain.cloud.cloud import Cloud, Scan, as_points
from espalier.robots.terrain.cloud.scans import Scans, load_scans
from espalier.robots.terrain.cloud.unusable import NOT_FINITE, usable
from espalier.robots.terrain.config import MapperConfig
from espalier.robots.terrain.export.save import load_map as load_saved
from espalier.robots.terrain.grid.terrain_map import TerrainMap
from espalier.robots.terrain.ground import find_cloud
from espalier.robots.terrain.mapper import TraversabilityMapper
from espalier.robots.terrain.plan.config import PlanConfig
from espalier.robots.terrain.plan.follow import PurePursuit
from espalier.robots.terrain.plan.planner import plan
from espalier.robots.terrain.plan.route import Route
from espalier.robots.terrain.whole import build as build_whole

__all__ = [
    "Cloud",
    "MapperConfig",
    "PlanConfig",
    "PurePursuit",
    "Route",
    "Scan",
    "TerrainMap",
    "TraversabilityMapper",
    "build",
    "load",
    "load_map",
    "plan",
    "scans",
]

WHOLE_M = 3.0
"""Side of the windows that a whole cloud is mapped by."""


def load(file: str | Path) -> Cloud:
    """A point cloud: PCD, PLY, LAS, LAZ, NPY, NPZ, or KITTI's BIN; here, or in the data root's `terrain`. Raises
    DataError by file and line.
    """
    return find_cloud(str(file), DataRoot.find())


def scans(folder: str | Path, poses: str | Path | None = None) -> Scans:
    """Clouds of a folder with their poses (TUM or KITTI), to give to `TraversabilityMapper.add`."""
    return load_scans(Path(folder), None if poses is None else Path(poses))


def build(
    cloud: Cloud | npt.NDArray[np.floating] | str | Path,
    cell_m: float = 0.1,
    progress: Callable[[float], None] | None = None,
    **settings: Any,
) -> TerrainMap:
    """The map of a whole cloud, of a file or an array (n, 3) in metres with z up. progress: told the share done.
    settings: fields of MapperConfig.
    """
    if isinstance(cloud, str | Path):
        cloud = load(cloud)
    elif not isinstance(cloud, Cloud):
        cloud = of_points(cloud)
    return build_whole(cloud, whole_config(cell_m, settings), progress)


def whole_config(cell_m: float, settings: Mapping[str, Any]) -> MapperConfig:
    """Settings of a whole cloud's map: windows of 3 m, or ten cells, unless `settings` say otherwise."""
    usual = {"size_m": max(WHOLE_M, 10 * cell_m), "cell_m": cell_m}
    return MapperConfig.of(**merged({"window": usual}, settings))


def load_map(file: str | Path) -> TerrainMap:
    """The map in a .npz that was saved from one, or in a north-up GeoTIFF. Raises DataError naming the file."""
    return load_saved(Path(file))


def of_points(points: npt.ArrayLike) -> Cloud:
    """A cloud of an array (n, 3); points that cannot be used are counted in `dropped`. Raises DataError for another."""
    array = as_points(points)
    if not np.isfinite(array).all(1).any():
        raise DataError("there is no finite point")
    good, dropped = usable(array, "the array")
    return Cloud(array[good], dropped={NOT_FINITE: 0, **dropped})
