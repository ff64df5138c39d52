"""A hard look at a trajectory, at dense points: how near it comes to anything, and how fast it is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from espalier.robots.swarm.traj.config import VEHICLE_M, LimitsConfig
from espalier.robots.swarm.traj.neighbours import Neighbours, place
from espalier.robots.swarm.traj.penalties import FLAT
from espalier.robots.swarm.traj.quintic import Floats
from espalier.robots.swarm.traj.trajectory import Trajectory
from espalier.robots.swarm.world.esdf import DistanceField, distance_at

STEP_S = 0.02
ROUND_M = 1e-6
"""Coming nearer by less is none."""


class Check(NamedTuple):
    """first_violation_s: absolute time, infinite for none. spare_m: how far it is at least from touching an obstacle or
    another, and from the floor and the ceiling; less than nothing beyond. least_clearance_m: to obstacles.
    least_separation_m: to others, with height counted half; infinite without others. greatest_speed_mps,
    greatest_accel_mps2: over the whole span that was looked at.
    """

    first_violation_s: float
    spare_m: float
    least_clearance_m: float
    least_separation_m: float
    greatest_speed_mps: float
    greatest_accel_mps2: float

    @property
    def safe(self) -> bool:
        """Whether nothing is violated."""
        return self.first_violation_s == np.inf


def check(
    trajectory: Trajectory,
    field: DistanceField,
    others: Neighbours,
    limits: LimitsConfig,
    from_s: float | None = None,
    until_s: float | None = None,
    ages_s: Floats | None = None,
    doubt_mps: float = 0.0,
) -> Check:
    """Look at a trajectory every 20 ms from a time until another, both absolute: its begin and its end by default.

    ages_s: (n,) how old is what is known of each other, new by default: one may have left its path since then, so it is
    looked at for so much longer, and for each second to be `doubt_mps` farther away.

    Violated are `least_clearance_m`, `separation_m`, the floor and the ceiling. What begins too near to something is
    violated only where it comes nearer still: so there is a way out. Speed and acceleration are only told.
    """
    begin = trajectory.start_s if from_s is None else from_s
    end = max(trajectory.end_s if until_s is None else until_s, begin)
    ages = np.zeros(len(others.starts)) if ages_s is None else ages_s
    last = end + float(ages.max(initial=0.0))
    times = np.append(np.arange(begin, last, STEP_S), last)
    points, looked = trajectory.position(times), times <= end
    wanted = limits.separation_m + doubt_mps * ages
    clearance, separation, room = _nearest(points, times, field, others, wanted, end + ages)
    bad = clearance < min(limits.least_clearance_m, clearance[0] - ROUND_M)
    over, under = np.full((2, len(times)), np.inf)
    if limits.floor_m is not None:
        over = points[:, 2] - min(limits.floor_m, points[0, 2])
    if limits.ceiling_m is not None:
        under = max(limits.ceiling_m, points[0, 2]) - points[:, 2]
    inside = np.minimum(over, under)
    bad = ((bad | (inside < -ROUND_M)) & looked) | (room < 0.0)
    nearest, closest = float(clearance[looked].min()), float(separation.min())
    return Check(
        float(times[bad.argmax()]) if bad.any() else np.inf,
        min(nearest - VEHICLE_M, closest - 2.0 * VEHICLE_M, float(inside[looked].min())),
        nearest,
        closest,
        float(np.linalg.norm(trajectory.velocity(times[looked]), axis=1).max()),
        float(np.linalg.norm(trajectory.acceleration(times[looked]), axis=1).max()),
    )


@njit(cache=True)
def _nearest(
    points: Floats, times: Floats, field: DistanceField, others: Neighbours, wanted: Floats, until: Floats
) -> tuple[Floats, Floats, Floats]:
    """(n,) distances of (n, 3) points to obstacles and to the nearest other at these times, and by how much all others
    are farther away than wanted (k,), or than ROUND_M less than at the first time where that was less. Each other
    counts until a time (k,).
    """
    clearance, separation, room = np.empty(len(points)), np.full(len(points), np.inf), np.full(len(points), np.inf)
    allowed = np.empty(len(others.starts))
    for n, (x, y, z) in enumerate(points):
        clearance[n] = distance_at(field, x, y, z)[0]
        for k in range(len(others.starts)):
            if times[n] > until[k]:
                continue
            ox, oy, oz = place(others, k, times[n], 0)
            away = np.sqrt((x - ox) ** 2 + (y - oy) ** 2 + FLAT * (z - oz) ** 2)
            if n == 0:
                allowed[k] = min(wanted[k], away - ROUND_M)
            separation[n] = min(separation[n], away)
            room[n] = min(room[n], away - allowed[k])
    return clearance, separation, room
