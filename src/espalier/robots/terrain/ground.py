"""A dense cloud to drive over: of a file, or a generated scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from espalier.core.data import DataRoot
from espalier.robots.terrain.cloud.cloud import Cloud
from espalier.robots.terrain.cloud.frames import pose_matrix
from espalier.robots.terrain.cloud.load import load_cloud
from espalier.robots.terrain.scenes.config import SceneConfig
from espalier.robots.terrain.scenes.scene import make_scene

Floats = npt.NDArray[np.float64]
UNDER_M, LOW = 0.3, 0.2
"""A robot stands on the height that this share of the points within this distance lie below: walls do not lift it."""


def find_cloud(name: str, root: DataRoot) -> Cloud:
    """The cloud `name`: a file here, or one of the data root's `terrain`."""
    here = Path(name)
    return load_cloud(here if here.is_file() else root.file(f"terrain/{name}"))


def ground_of(source: str | SceneConfig, root: DataRoot) -> Cloud:
    """The cloud of a file, or a scene made anew."""
    return find_cloud(source, root) if isinstance(source, str) else make_scene(source).cloud


class Ground:
    """What a robot stands on."""

    def __init__(self, points: Floats) -> None:
        self.points = points
        self._tree = cKDTree(points[:, :2])

    def height(self, x: float, y: float) -> float:
        """Of the ground under (x, y), metres."""
        near = self._tree.query_ball_point((x, y), UNDER_M) or [int(self._tree.query((x, y))[1])]
        return float(np.quantile(self.points[near, 2], LOW))

    def pose(self, x: float, y: float, yaw: float, sensor_height_m: float) -> Floats:
        """(4, 4) of a level sensor so high above the ground."""
        return pose_matrix(x, y, self.height(x, y) + sensor_height_m, yaw)
