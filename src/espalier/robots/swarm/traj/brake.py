"""The emergency stop: the same path, flown ever more slowly."""

from __future__ import annotations

import numpy as np

from espalier.robots.swarm.traj.quintic import Floats, through
from espalier.robots.swarm.traj.trajectory import Trajectory

PIECES, LONGEST_PIECE_S = 4, 0.4
"""Least number of the stop's pieces, and how long one may be at most: longer ones leave the path."""
LOOKS = 41
"""Places at which the acceleration of a stop is looked at."""
SHORTEST_S, LONGEST_S, TRIES = 0.2, 3.0, 24
"""Range of the times that a stop may take, and how many are tried."""


def brake(trajectory: Trajectory, t: float, accel_mps2: float) -> Trajectory:
    """From an absolute time on along the path of a trajectory to rest, in the shortest time within the acceleration.

    Position, velocity and acceleration go on without a jump; then the vehicle hovers. A straight flight at speed v
    takes 1.5 v / accel. Where no time of up to 3 s is enough, as where the trajectory itself breaks the limit, it is
    the one that breaks it least.

    Time on the path runs at the rate 1 - 3 u^2 + 2 u^3, where u is the share of the stop that has passed. Ours.
    """
    peaks = np.full(TRIES, np.inf)
    times = np.geomspace(SHORTEST_S, LONGEST_S, TRIES)
    for k, time in enumerate(times):
        _, _, accel = _slowed(trajectory, t, float(time), LOOKS)
        peaks[k] = np.linalg.norm(accel, axis=1).max()
        if peaks[k] <= accel_mps2:
            break
    best = float(times[peaks.argmin()])
    pieces = max(PIECES, int(np.ceil(best / LONGEST_PIECE_S)))
    states = np.stack(_slowed(trajectory, t, best, pieces + 1), axis=1)
    durations = np.full(pieces, best / pieces)
    return Trajectory(through(states, durations), durations, t)


def _slowed(path: Trajectory, t: float, time: float, count: int) -> tuple[Floats, Floats, Floats]:
    """(count, 3) positions, velocities and accelerations at equal times of a stop that takes `time`."""
    u = np.linspace(0.0, 1.0, count)[:, None]
    rate, change = 1.0 - 3.0 * u**2 + 2.0 * u**3, (6.0 * u**2 - 6.0 * u) / time
    at = t + time * (u - u**3 + 0.5 * u**4)[:, 0]
    velocity = path.velocity(at)
    return path.position(at), rate * velocity, rate**2 * path.acceleration(at) + change * velocity
