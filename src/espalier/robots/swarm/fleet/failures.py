"""What befalls vehicles, and what they say of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from espalier.robots.swarm.fleet.config import FailureConfig
from espalier.robots.swarm.traj.brake import brake
from espalier.robots.swarm.traj.quintic import through
from espalier.robots.swarm.traj.trajectory import Trajectory

Floats = npt.NDArray[np.float64]
DRIFT_MPS, LIE_MPS = 0.4, 1.0
"""Speeds of drifting vehicles, and of the paths that liars tell of."""
SMOOTH, SHORTEST_S = 2.0, 0.5
"""Seconds that a change of velocity takes for each that a constant acceleration would, and at least."""
TOLD_S = 4.0
"""Length of those paths."""


@dataclass(frozen=True)
class Fate:
    """kind, at_s, until_s: as of the settings; without an end infinite. towards: (3,) a direction if it needs one."""

    kind: str
    at_s: float
    towards: Floats
    until_s: float = np.inf

    def strikes(self, now_s: float) -> bool:
        """Whether it is upon the vehicle; who is late suffers before its time."""
        return now_s < self.at_s if self.kind == "late" else self.at_s <= now_s < self.until_s


def fates(n: int, failures: Sequence[FailureConfig], rng: np.random.Generator) -> dict[int, Fate]:
    """Whom something befalls, by number: each at most one thing."""
    named = {one for failure in failures for one in failure.vehicles}
    order, found = [one for one in rng.permutation(n).tolist() if one not in named], dict[int, Fate]()
    for failure in failures:
        count = 0 if failure.vehicles else min(round(failure.share * n), len(order))
        for one in [*failure.vehicles, *(order.pop() for _ in range(count))]:
            angle = rng.uniform(0.0, 2.0 * np.pi)
            towards, until_s = np.array([np.cos(angle), np.sin(angle), 0.0]), failure.until_s or np.inf
            found[one] = Fate(failure.kind, failure.at_s, towards, until_s)
    return found


def befallen(fate: Fate, flown: Trajectory, now_s: float, accel_mps2: float) -> Trajectory:
    """What a vehicle flies from when its fate has come until that is over; liars fly on by their plans."""
    if fate.kind != "drift":
        return brake(flown, now_s, accel_mps2)
    here, before, after = flown.position(now_s), flown.velocity(now_s), DRIFT_MPS * fate.towards
    time = max(SMOOTH * float(np.linalg.norm(after - before)) / accel_mps2, SHORTEST_S)
    there = here + time * (before + after) / 2.0
    ends = np.stack([[here, before, flown.acceleration(now_s)], [there, after, np.zeros(3)]])
    return Trajectory(through(ends, np.array([time])), np.array([time]), now_s)


def told(fate: Fate, flown: Trajectory, now_s: float) -> Trajectory:
    """What it says: liars tell of a path of their own invention, all others the truth."""
    if fate.kind != "lie":
        return flown
    begin, velocity = flown.position(now_s), LIE_MPS * fate.towards
    ends = np.stack([[begin, velocity, np.zeros(3)], [begin + TOLD_S * velocity, velocity, np.zeros(3)]])
    return Trajectory(through(ends, np.array([TOLD_S])), np.array([TOLD_S]), now_s)
