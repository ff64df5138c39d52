"""The loop of a drive: scan, map, plan, move."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from espalier.robots.terrain.cloud.lidar import SpinningLidar
from espalier.robots.terrain.drive.boxes import Boxes
from espalier.robots.terrain.drive.config import DriveConfig
from espalier.robots.terrain.drive.navigator import Navigator
from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.ground import Ground
from espalier.robots.terrain.mapper import MapUpdate, TraversabilityMapper
from espalier.robots.terrain.plan.follow import Pose
from espalier.robots.terrain.plan.follow import drive as moved

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Moment:
    """After a scan: seconds, the robot's pose, its map and navigator (which go on changing), and metres to a box."""

    seconds: float
    pose: Pose
    update: MapUpdate
    mapper: TraversabilityMapper
    navigator: Navigator
    clearance_m: float


@dataclass(frozen=True)
class Driven:
    """reached: whether the robot arrived. path: (n, 3) x, y and yaw at each scan. seconds: of the drive. update_ms:
    (n,). clearance_m: the least to any box. by_box: plans that were made because a box stood in the way.
    """

    reached: bool
    path: Floats
    seconds: float
    update_ms: Floats
    clearance_m: float
    by_box: int
    mapper: TraversabilityMapper
    navigator: Navigator

    @property
    def length_m(self) -> float:
        """Of the path."""
        return float(np.hypot(*np.diff(self.path[:, :2], axis=0).T).sum())


def simulate(config: DriveConfig, points: Floats, seed: int, watch: Callable[[Moment], bool] | None = None) -> Driven:
    """Drive over (n, 3) points. watch: told of every scan; the drive ends where it returns False, and where the robot
    would leave the ground. Repeatable.
    """
    ground = Ground(points)
    boxes, lidar = Boxes(ground, config.obstacles), SpinningLidar(config.lidar)
    site = Frame.covering(points[:, :2].min(0), points[:, :2].max(0), config.mapper.window.cell_m)
    mapper, navigator = TraversabilityMapper(config.mapper), Navigator(config, site)
    rng, tick = np.random.default_rng(seed), 1.0 / config.lidar.rate_hz
    pose: Pose = config.start
    path, times, clearances, reached = [pose], [], [], False
    for number in range(max(round(config.seconds / tick), 1)):
        seconds = number * tick
        sensor = ground.pose(*pose, config.sensor_height_m)
        update = mapper.add(lidar.scan(boxes.points(seconds), sensor, rng, seconds))
        times.append(update.total_ms)
        clearances.append(boxes.clearance(pose[0], pose[1], seconds))
        speed, turn = navigator.command(mapper, pose, seconds)
        reached = math.dist(pose[:2], config.goal) <= config.plan.follow.goal_m
        go_on = watch is None or watch(Moment(seconds, pose, update, mapper, navigator, clearances[-1]))
        ahead = moved(pose, speed, turn, tick)
        if reached or not go_on or not site.inside(site.cells(np.array([ahead[:2]])))[0]:
            break
        pose = ahead
        path.append(pose)
    near = config.plan.radius_m + config.plan.clearance_m + 2.0 * config.mapper.window.cell_m
    by_box = sum(boxes.clearance(x, y, when) < near for x, y, when in navigator.blocked_at)
    return Driven(reached, np.array(path), seconds, np.array(times), min(clearances), by_box, mapper, navigator)
