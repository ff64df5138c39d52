"""Settings of the comparison."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveFloat, PositiveInt

from espalier.core.config import Config
from espalier.robots.terrain.cloud.lidar import LidarConfig
from espalier.robots.terrain.config import MapperConfig
from espalier.robots.terrain.scenes.config import SceneConfig

MethodName = Literal["sgp", "sgp_fair", "fsgp", "fsgp_bgk", "fsgp_bgk_paper", "elevation"]


class TableConfig(Config):
    """Every method on every cloud: a robot drives in a circle, and each window of its map is judged."""

    clouds: tuple[str, ...] = ("forest.pcd", "desert.pcd", "vocano.pcd")
    """Files, here or in the data root's `terrain`."""
    scenes: tuple[SceneConfig, ...] = ()
    """Generated terrain; each seed of the table makes another."""
    methods: tuple[MethodName, ...] = ("sgp", "sgp_fair", "fsgp", "fsgp_bgk", "fsgp_bgk_paper", "elevation")
    """What is compared. sgp sees the slope only; sgp_fair takes curvature and step from its own height map."""
    scans: PositiveInt = 60
    """Of each drive."""
    seeds: PositiveInt = 3
    """Of the sensor, its blind sector and the scenes."""
    sensor_height_m: PositiveFloat = 0.6
    """Of the sensor above the ground."""
    lidar: LidarConfig = LidarConfig()
    """The simulated sensor."""
    mapper: MapperConfig = MapperConfig(drop_outliers=False)
    """The map. Its filter is off: the simulated scans have no outliers, and the other methods have no filter."""
