"""A controller that keeps a robot on a route: pure pursuit."""

from __future__ import annotations

from math import cos, sin

import numpy as np
import numpy.typing as npt

from espalier.robots.terrain.plan.config import FollowConfig
from espalier.robots.terrain.plan.errors import PlanError
from espalier.robots.terrain.plan.route import Route

Floats = npt.NDArray[np.float64]
Pose = tuple[float, float, float]


class PurePursuit:
    """Steers along the circle to a point ahead on the route, farther at speed, nearer at a crawl. It has no memory.

    Source: Coulter, 1992; the lookahead along the route and its adaption are ours.
    """

    def __init__(self, config: FollowConfig) -> None:
        self.config = config

    def command(self, pose: Pose, route: Route, near_m: float | None = None) -> tuple[float, float]:
        """Speed (m/s, negative backwards) and yaw rate (rad/s) at x, y (m) and yaw (rad); both 0 from the goal on.

        near_m: where on the route the robot was a moment ago, which a route that crosses itself needs. Speed, lateral
        acceleration and curvature stay within the limits. Raises PlanError for a route that changes its direction:
        follow its `legs` one after the other.
        """
        if (route.direction != route.direction[-1]).any():
            raise PlanError("the route changes between forwards and backwards; follow its legs() one after the other")
        x, y, yaw = pose
        gear, station = float(route.direction[-1]), route.station
        here = self.locate(pose, route, near_m)
        left = station[-1] - here
        near = np.hypot(*(route.points[-1] - (x, y))) <= self.config.goal_m
        if left <= 0.0 or (near and left <= self.config.lookahead_m):
            return 0.0, 0.0
        wanted = max(abs(float(np.interp(here, station, route.speed))), self.config.creep_mps)
        to_x, to_y = _target(route, station, here + self._lookahead(wanted)) - (x, y)
        along = gear * (cos(yaw) * to_x + sin(yaw) * to_y)
        across = cos(yaw) * to_y - sin(yaw) * to_x
        limit = self.config.max_curvature
        bend = 2.0 * across / max(to_x**2 + to_y**2, 1e-12)
        if along <= 0.0:  # the target lies behind: turn as tightly as may be
            bend = np.copysign(limit, across)
        bend = float(np.clip(bend, -limit, limit))
        speed = min(wanted, float(np.sqrt(self.config.lateral_mps2 / max(abs(bend), 1e-12))))
        return gear * speed, gear * speed * bend

    def locate(self, pose: Pose, route: Route, near_m: float | None = None) -> float:
        """Station of the point of the route nearest to the robot, metres; searched no farther than twice the lookahead
        from `near_m` where that is given.
        """
        station = route.station
        if len(route) == 1:
            return 0.0
        starts, pieces = route.points[:-1], np.diff(route.points, axis=0)
        lengths = np.diff(station)
        offset = np.array(pose[:2]) - starts
        share = np.clip((offset * pieces).sum(1) / np.maximum(lengths**2, 1e-12), 0.0, 1.0)
        distance = np.hypot(*(offset - share[:, None] * pieces).T)
        if near_m is not None:
            reach = 2.0 * self.config.lookahead_m
            distance[(station[1:] < near_m - reach) | (station[:-1] > near_m + reach)] = np.inf
        best = int(distance.argmin())
        return float(station[best] + share[best] * lengths[best])

    def _lookahead(self, speed: float) -> float:
        low, high = self.config.least_lookahead_m, self.config.lookahead_m
        return low + (high - low) * min(speed / self.config.speed_mps, 1.0)


def _target(route: Route, station: Floats, where: float) -> Floats:
    """(2,): the point of the route at a station; beyond the goal, straight on."""
    point = np.array([np.interp(where, station, route.points[:, k]) for k in range(2)])
    beyond = max(where - float(station[-1]), 0.0) * float(route.direction[-1])
    return point + beyond * np.array([np.cos(route.heading[-1]), np.sin(route.heading[-1])])


def drive(pose: Pose, speed: float, turn: float, seconds: float) -> Pose:
    """The pose of a unicycle after driving at a constant speed (m/s) and yaw rate (rad/s): the exact arc."""
    x, y, yaw = pose
    half = 0.5 * turn * seconds
    chord = speed * seconds * float(np.sinc(half / np.pi))
    return x + chord * cos(yaw + half), y + chord * sin(yaw + half), yaw + 2.0 * half
