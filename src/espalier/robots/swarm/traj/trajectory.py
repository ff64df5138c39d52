"""A curve in time: quintic pieces one after the other, from a start time on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from numba import njit

from espalier.robots.swarm.traj.quintic import Floats

EDGE_S = 1e-9
"""Times outside of a curve by no more are its ends, rounded."""


@dataclass(frozen=True)
class Trajectory:
    """coefficients: (m, 6, 3) metres and seconds, the constant first, time from the begin of each piece. durations:
    (m,). start_s: when it begins. Outside of its time it is flown on at the velocity that it has at that end.
    """

    coefficients: Floats
    durations: Floats
    start_s: float = 0.0

    @classmethod
    def hover(cls, position: npt.ArrayLike, start_s: float = 0.0) -> Trajectory:
        """Standing at (3,) x, y, z."""
        coefficients = np.zeros((1, 6, 3))
        coefficients[0, 0] = position
        return cls(coefficients, np.ones(1), start_s)

    @property
    def total_s(self) -> float:
        """Its duration."""
        return float(self.durations.sum())

    @property
    def end_s(self) -> float:
        """When it ends."""
        return self.start_s + self.total_s

    def position(self, t: npt.ArrayLike) -> Floats:
        """(..., 3) metres at times (...)."""
        return self._at(t, 0)

    def velocity(self, t: npt.ArrayLike) -> Floats:
        """(..., 3) m/s at times (...)."""
        return self._at(t, 1)

    def acceleration(self, t: npt.ArrayLike) -> Floats:
        """(..., 3) m/s^2 at times (...)."""
        return self._at(t, 2)

    def jerk(self, t: npt.ArrayLike) -> Floats:
        """(..., 3) m/s^3 at times (...)."""
        return self._at(t, 3)

    def _at(self, t: npt.ArrayLike, order: int) -> Floats:
        times = np.asarray(t, np.float64)
        since = times.ravel() - self.start_s
        return _sampled(self.coefficients, self.durations, since, order).reshape(*times.shape, 3)


@njit(cache=True)
def locate(durations: Floats, since: float) -> tuple[int, float]:
    """The piece that a time since the start falls into, and the time since the begin of that piece; both are those of
    the nearest end where it lies outside.
    """
    last = len(durations) - 1
    for i in range(last):
        if since < durations[i]:
            return i, max(since, 0.0)
        since -= durations[i]
    return last, min(max(since, 0.0), durations[last])


@njit(cache=True)
def derivative(piece: Floats, s: float, order: int, x: int) -> float:
    """Of coordinate x of a piece (6, 3), at a time since its begin."""
    value = 0.0
    for k in range(5, order - 1, -1):
        factor = piece[k, x]
        for j in range(order):
            factor *= k - j
        value = value * s + factor
    return value


@njit(cache=True)
def _sampled(coefficients: Floats, durations: Floats, since: Floats, order: int) -> Floats:
    out = np.empty((len(since), 3))
    total = durations.sum()
    for n, time in enumerate(since):
        i, s = locate(durations, time)
        beyond = time - min(max(time, 0.0), total)
        for x in range(3):
            if order == 1 or abs(beyond) <= EDGE_S:
                out[n, x] = derivative(coefficients[i], s, order, x)
            elif order:
                out[n, x] = 0.0
            else:
                out[n, x] = derivative(coefficients[i], s, 0, x) + beyond * derivative(coefficients[i], s, 1, x)
    return out
