"""When to plan anew, and what the robot does meanwhile. It knows the map and its pose, nothing else."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from espalier.robots.terrain.drive.config import DriveConfig
from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.grid.terrain_map import TerrainMap
from espalier.robots.terrain.mapper import TraversabilityMapper
from espalier.robots.terrain.plan.config import PlanConfig
from espalier.robots.terrain.plan.errors import PlanError
from espalier.robots.terrain.plan.follow import Pose, PurePursuit
from espalier.robots.terrain.plan.obstacles import FREE, Obstacles, obstacles
from espalier.robots.terrain.plan.planner import plan
from espalier.robots.terrain.plan.route import Route

Floats = npt.NDArray[np.float64]
SPIN_RAD = 1.0
"""A robot that looks farther away from its route turns on the spot."""
STOOD_ON = 0.4
"""Share of what is lethal that the ground under the robot has at most: it stands there."""


@dataclass
class Navigator:
    """Keeps a route to the goal. site: what it may drive on. plans: how often it planned; blocked_at: where and when
    (x, y, seconds) it did so because the route was no longer free. waits: scans after which it had no route and stood
    still. ms: of each plan.
    """

    config: DriveConfig
    site: Frame
    route: Route | None = None
    plans: int = 0
    waits: int = 0
    blocked_at: list[tuple[float, float, float]] = field(default_factory=list)
    ms: list[float] = field(default_factory=list)
    _planned: float = float("-inf")
    _near: float = 0.0
    _speed: float = 0.0

    @property
    def blocked(self) -> int:
        """How often it planned because the route was no longer free."""
        return len(self.blocked_at)

    def command(self, mapper: TraversabilityMapper, pose: Pose, seconds: float) -> tuple[float, float]:
        """Speed and yaw rate for the next moment."""
        ground = self.ground(mapper, pose)
        around = obstacles(ground, self.config.plan)
        place = None if self.route is None else self._blocked(around, pose, self.route)
        if place is not None:
            self.blocked_at.append((*place, seconds))
        if self.route is None or place is not None or seconds - self._planned >= self.config.replan_s:
            self._plan(ground, pose, seconds, self._goal(around))
        if self.route is None:
            self.waits += 1
            self._speed = 0.0
            return 0.0, 0.0
        follower = PurePursuit(self.config.plan.follow)
        self._near = follower.locate(pose, self.route, self._near)
        off = self._off(pose, self.route)
        if abs(off) > SPIN_RAD:
            self._speed = 0.0
            return 0.0, math.copysign(self.config.spin_rad_s, off)
        self._speed, turn = follower.command(pose, self.route, self._near)
        return self._speed, turn

    def _off(self, pose: Pose, route: Route) -> float:
        """Radians from where the robot looks to where the route goes."""
        ahead = self._near + self.config.plan.follow.least_lookahead_m
        x, y = (float(np.interp(ahead, route.station, route.points[:, k])) for k in range(2))
        return math.remainder(math.atan2(y - pose[1], x - pose[0]) - pose[2], math.tau)

    def ground(self, mapper: TraversabilityMapper, pose: Pose) -> TerrainMap:
        """What is known of the site; what the robot stands on can be stood on."""
        ground = mapper.map(self.site)
        here = np.hypot(*(ground.frame.centres() - pose[:2]).T).reshape(ground.frame.shape) <= self.config.plan.radius_m
        limits = {"cost": self.config.plan.lethal_cost, "slope": self.config.plan.max_slope or np.inf}
        stood = {
            name: np.where(here, np.fmin(ground[name], np.float32(STOOD_ON * most)), ground[name])
            for name, most in limits.items()
        }
        return replace(ground, layers={**ground.layers, **stood})

    def _plan(self, ground: TerrainMap, pose: Pose, seconds: float, goal: tuple[float, float]) -> None:
        """A new route; in a narrow place the clearance is given up, the footprint never."""
        self.plans += 1
        self.route = self._found(ground, pose, goal, self.config.plan)
        if self.route is None and self.config.plan.clearance_m:
            narrow = self.config.plan.model_copy(update={"clearance_m": 0.0})
            self.route = self._found(ground, pose, goal, narrow)
        if self.route is None:
            return
        self._planned, self._near = seconds, 0.0
        self.ms.append(self.route.ms)

    def _found(self, ground: TerrainMap, pose: Pose, goal: tuple[float, float], config: PlanConfig) -> Route | None:
        try:
            return plan(ground, pose, goal, config, speed_mps=self._speed)
        except PlanError:
            return None

    def _goal(self, around: Obstacles) -> tuple[float, float]:
        """The goal; while the map has an obstacle there, which may be a mistake of afar, the nearest free place."""
        goal = self.config.goal
        row, col = around.frame.cells(np.array([goal]))[0].tolist()
        if around.state[row, col] == FREE or (free := around.nearest_free((row, col))) is None:
            return goal
        x, y = np.asarray(free, float).tolist()
        return x, y

    def _blocked(self, around: Obstacles, pose: Pose, route: Route) -> tuple[float, float] | None:
        """Where the map has an obstacle on the next metres of the route."""
        here = PurePursuit(self.config.plan.follow).locate(pose, route, self._near)
        ahead = route.points[(route.station >= here) & (route.station <= here + self.config.look_m)]
        ahead = ahead[around.frame.inside(around.frame.cells(ahead))]
        cells = around.frame.cells(ahead)
        own = around.state[tuple(around.frame.cells(np.array([pose[:2]]))[0])]
        barred = np.flatnonzero(around.state[cells[:, 0], cells[:, 1]] > max(own, FREE))
        return (float(ahead[barred[0], 0]), float(ahead[barred[0], 1])) if barred.size else None
