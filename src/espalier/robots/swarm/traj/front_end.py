"""The first guess of a plan: a free way to a goal, a few waypoints on it, and durations."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from espalier.robots.swarm.traj.config import FrontEndConfig, LimitsConfig
from espalier.robots.swarm.traj.lattice import Lattice, clearance, search, sees, straightened
from espalier.robots.swarm.traj.quintic import Floats
from espalier.robots.swarm.world.esdf import DistanceField, distance_at

NOTHING = np.empty((0, 4))
HOPS, SPARE_M = 12, 0.05
"""Steps by which a goal leaves an obstacle, and how far beyond the clearance each of them aims."""
STATIONS = 65
"""Places on the way at which the speed is worked out."""
MOST_POINTS = 100_000
"""Of a lattice; one of more is made coarser."""
SHORTEST_M = 1e-3
"""No way counts as shorter."""


class Way(NamedTuple):
    """points: (n, 3) corners of a polyline from the start on. reached: whether it ends at the goal, or at the free
    place next to a goal that is not free. shut: whether there was none as far as might be searched, and obstacles are
    why.
    """

    points: Floats
    reached: bool
    shut: bool = False

    @property
    def length_m(self) -> float:
        """Of the polyline."""
        return float(np.linalg.norm(np.diff(self.points, axis=0), axis=1).sum())


class Guess(NamedTuple):
    """waypoints: (m - 1, 3). durations: (m,) seconds."""

    waypoints: Floats
    durations: Floats


def find_way(
    field: DistanceField,
    start: Floats,
    goal: Floats,
    config: FrontEndConfig,
    limits: LimitsConfig,
    avoid: Floats = NOTHING,
    *,
    widen: bool = True,
) -> Way:
    """A short way from (3,) to (3,) with clearance, straightened where that costs none.

    The search keeps to the grid of the field and to the altitudes of `limits`, except to hold start and goal. avoid:
    (k, 4) spheres x, y, z, radius to stay out of, which leads to another way. A goal that is not free is moved to where
    it is. Where there is no way, it is the one to the place nearest to the goal; widen: only if there is none
    farther around either, which is not looked for where it is the spheres that are in the way.
    """
    start, target = np.array(start, np.float64), _freed(field, avoid, goal, config.clearance_m)
    if sees(field, avoid, start, target, config.clearance_m):
        return Way(np.stack([start, target]), True)
    room_m, world_m = config.room_m, max(field.values.shape) * field.cell_m
    most_m, shut = min(config.most_room_m or world_m, world_m), False
    while True:
        lattice = _lattice(field, avoid, start, target, config.pitch_m, room_m, limits)
        points, reached = search(field, avoid, lattice, config.clearance_m, config.least_clearance_m)
        if reached or not widen or lattice.goal_room < config.least_clearance_m:
            break
        if len(avoid) and search(field, NOTHING, lattice, config.clearance_m, config.least_clearance_m)[1]:
            break
        if shut := room_m >= most_m:
            break
        room_m = min(2.0 * room_m, most_m)
    if reached:
        points = np.vstack([points[: max(len(points) - 1, 1)], target])
    return Way(points[straightened(field, avoid, points, config.clearance_m)], reached, shut)


def guess(way: Way, speed_mps: float, end_speed_mps: float, config: FrontEndConfig) -> Guess:
    """Waypoints at equal distances along a way, and the times between them: from a speed at its begin to one at its
    end, in between towards the cruising speed, at constant acceleration.
    """
    steps = np.linalg.norm(np.diff(way.points, axis=0), axis=1)
    stations = np.concatenate([[0.0], steps.cumsum()])
    length = max(float(stations[-1]), SHORTEST_M)
    pieces = min(max(round(length / config.piece_m), 1), config.most_pieces)
    at = np.linspace(0.0, length, pieces + 1)
    points = np.stack([np.interp(at, stations, way.points[:, x]) for x in range(3)], 1)
    ahead = points[2:] - points[:-2]
    right = np.stack([ahead[:, 1], -ahead[:, 0], np.zeros(pieces - 1)], 1)
    right /= np.maximum(np.linalg.norm(ahead, axis=1, keepdims=True), SHORTEST_M)
    dense = np.linspace(0.0, length, STATIONS)
    gain = 2.0 * config.accel_mps2
    squares = np.minimum(speed_mps**2 + gain * dense, end_speed_mps**2 + gain * (length - dense))
    speeds = np.sqrt(np.minimum(squares, config.cruise_mps**2))
    times = np.concatenate([[0.0], (2.0 * np.diff(dense) / (speeds[1:] + speeds[:-1])).cumsum()])
    return Guess(points[1:-1] + config.right_m * right, np.diff(np.interp(at, dense, times)))


def _freed(field: DistanceField, avoid: Floats, goal: Floats, wanted: float) -> Floats:
    """The goal, or, if it is too near to an obstacle, a place that it is pushed to by the distance field."""
    at = np.array(goal, np.float64)
    for _ in range(HOPS):
        missing = wanted - clearance(field, avoid, *at)
        if missing <= 0.0:
            break
        slope = np.array(distance_at(field, *at)[1:])
        steep = np.linalg.norm(slope)
        if steep < 1e-6:
            return np.array(goal, np.float64)
        at += (missing + SPARE_M) * slope / steep
    return at


def _lattice(
    field: DistanceField,
    avoid: Floats,
    start: Floats,
    goal: Floats,
    pitch: float,
    room_m: float,
    limits: LimitsConfig,
) -> Lattice:
    """Around start and goal, through the start; as fine as `pitch`, or as MOST_POINTS allow."""
    ends = np.stack([start, goal])
    inner, outer = field.origin.copy(), field.origin + np.array(field.values.shape) * field.cell_m
    if limits.floor_m is not None:
        inner[2] = max(inner[2], limits.floor_m)
    if limits.ceiling_m is not None:
        outer[2] = min(outer[2], limits.ceiling_m)
    low = np.minimum(np.maximum(ends.min(0) - room_m, inner), ends.min(0))
    high = np.maximum(np.minimum(ends.max(0) + room_m, outer), ends.max(0))
    pitch = max(pitch, float(np.prod(high - low) / MOST_POINTS) ** (1.0 / 3.0))
    first = np.floor((start - low) / pitch + 1e-9).astype(int)
    shape = first + np.floor((high - start) / pitch + 1e-9).astype(int) + 1
    last = np.clip(first + np.rint((goal - start) / pitch).astype(int), 0, shape - 1)
    room = clearance(field, avoid, *goal)
    return Lattice(_three(start - first * pitch), pitch, _three(shape), _three(first), _three(last), room)


def _three(values: npt.NDArray[Any]) -> tuple[Any, Any, Any]:
    x, y, z = values.tolist()
    return x, y, z
