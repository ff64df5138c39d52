"""The curve of least jerk through waypoints at given durations, and gradients through it.

Of all curves through the waypoints that of least effort, the integral of the squared jerk, is quintic between them and
smooth up to the fourth derivative at them. So velocities and accelerations at the waypoints are the minimum of a
quadratic form, the effort of quintic pieces by the states that they join: one symmetric system of 2 (m - 1) unknowns
with three diagonals beside the main one, which is solved in O(m). Its adjoint is the same system, and again a curve.

The class of trajectories is MINCO (Wang, Zhou, Xu & Gao, T-RO 2022) for s = 3; this form of the system is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numba import njit

from espalier.robots.swarm.traj.quintic import (
    Floats,
    effort,
    effort_by_durations,
    effort_by_states,
    pulled_back,
    through,
)
from espalier.robots.swarm.traj.trajectory import Trajectory

BAND = 4
"""Of a row of the system: the diagonal and the three entries before it."""


class Gradient(NamedTuple):
    """waypoints: (m - 1, 3). durations: (m,). tail: (3, 3)."""

    waypoints: Floats
    durations: Floats
    tail: Floats


class Solution(NamedTuple):
    """coefficients: (m, 6, 3). states: (m + 1, 3, 3) at all joints. factor: of the system, (2 m - 2, 4)."""

    coefficients: Floats
    states: Floats
    factor: Floats


@dataclass(frozen=True)
class Minco:
    """head, tail: (3, 3) position, velocity, acceleration. waypoints: (m - 1, 3). durations: (m,) positive, seconds."""

    head: Floats
    tail: Floats
    waypoints: Floats
    durations: Floats

    @cached_property
    def solution(self) -> Solution:
        """Coefficients, and what gradients need."""
        return solve(self.head, self.tail, self.waypoints, self.durations)

    @property
    def coefficients(self) -> Floats:
        """(m, 6, 3) of the pieces, the constant first; time counts from the begin of each."""
        return self.solution.coefficients

    @property
    def effort(self) -> float:
        """The integral of the squared jerk."""
        return effort(self.coefficients, self.durations)

    def effort_gradient(self) -> Gradient:
        """Of the effort. States are optimal, so that only what is given to the curve counts."""
        by_states = 2.0 * effort_by_states(self.coefficients, self.durations)
        return _of(by_states, effort_by_durations(self.coefficients, self.coefficients))

    def gradient(self, by_coefficients: Floats, by_durations: Floats) -> Gradient:
        """Of a scalar f(coefficients, durations), from its partial gradients (m, 6, 3) and (m,)."""
        return _of(*adjoint(self.solution, self.durations, by_coefficients, by_durations))

    def trajectory(self, start_s: float = 0.0) -> Trajectory:
        """The curve, begun at a time."""
        return Trajectory(self.coefficients, self.durations, start_s)


def _of(by_states: Floats, by_durations: Floats) -> Gradient:
    return Gradient(by_states[1:-1, 0], by_durations, by_states[-1])


@njit(cache=True)
def solve(head: Floats, tail: Floats, waypoints: Floats, durations: Floats) -> Solution:
    """The curve, see `Minco`."""
    m = len(durations)
    states = np.zeros((m + 1, 3, 3))
    states[0], states[m] = head, tail
    for i in range(m - 1):
        states[i + 1, 0] = waypoints[i]
    factor = _cholesky(_system(durations))
    _settle(states, factor, effort_by_states(through(states, durations), durations), -1.0)
    return Solution(through(states, durations), states, factor)


@njit(cache=True)
def adjoint(
    solution: Solution, durations: Floats, by_coefficients: Floats, by_durations: Floats
) -> tuple[Floats, Floats]:
    """By states (m + 1, 3, 3) and durations (m,), see `Minco.gradient`. The velocity and acceleration of inner states
    are not free, and what is returned for them has no meaning.

    Inner states u solve F(u) = 0, where F is half the gradient of the effort. With K l = df/du, K = dF/du, the gradient
    is df less that of l . F at fixed u and l: of the product of the jerks of the curve and of the curve through the
    states l.
    """
    coefficients, states, factor = solution
    by_states, by_times = pulled_back(by_coefficients, states, durations, coefficients)
    inner = np.zeros_like(states)
    _settle(inner, factor, by_states, 1.0)
    curve = through(inner, durations)
    by_states -= effort_by_states(curve, durations)
    by_times += by_durations - effort_by_durations(curve, coefficients)
    return by_states, by_times


@njit(cache=True)
def _system(durations: Floats) -> Floats:
    """(2 m - 2, 4): half the second derivative of the effort by the velocity and acceleration at each waypoint.

    Row r, column k is the entry at (r, r - 3 + k).
    """
    n = 2 * (len(durations) - 1)
    band = np.zeros((n, BAND))
    for i, t in enumerate(durations):
        before, after = 2 * i - 2, 2 * i
        if before >= 0:
            band[before, 3] += 192.0 / t**3
            band[before + 1, 3] += 9.0 / t
            band[before + 1, 2] += 36.0 / t**2
        if after < n:
            band[after, 3] += 192.0 / t**3
            band[after + 1, 3] += 9.0 / t
            band[after + 1, 2] -= 36.0 / t**2
        if before >= 0 and after < n:
            band[after, 1] += 168.0 / t**3
            band[after, 2] += 24.0 / t**2
            band[after + 1, 0] -= 24.0 / t**2
            band[after + 1, 1] -= 3.0 / t
    return band


@njit(cache=True)
def _cholesky(band: Floats) -> Floats:
    """The lower factor of a banded symmetric positive definite matrix, in its place."""
    for r in range(len(band)):
        for c in range(max(r - 3, 0), r + 1):
            rest = band[r, c - r + 3]
            for k in range(max(r - 3, 0), c):
                rest -= band[r, k - r + 3] * band[c, k - c + 3]
            band[r, c - r + 3] = np.sqrt(rest) if c == r else rest / band[c, 3]
    return band


@njit(cache=True)
def _settle(states: Floats, factor: Floats, loads: Floats, sign: float) -> None:
    """Solve for the velocity and acceleration of each inner state under loads (m + 1, 3, 3) on them, times `sign`."""
    n = len(factor)
    for x in range(3):
        for r in range(n):
            rest = sign * loads[1 + r // 2, 1 + r % 2, x]
            for k in range(max(r - 3, 0), r):
                rest -= factor[r, k - r + 3] * states[1 + k // 2, 1 + k % 2, x]
            states[1 + r // 2, 1 + r % 2, x] = rest / factor[r, 3]
        for r in range(n - 1, -1, -1):
            rest = states[1 + r // 2, 1 + r % 2, x]
            for k in range(r + 1, min(r + 4, n)):
                rest -= factor[k, r - k + 3] * states[1 + k // 2, 1 + k % 2, x]
            states[1 + r // 2, 1 + r % 2, x] = rest / factor[r, 3]
