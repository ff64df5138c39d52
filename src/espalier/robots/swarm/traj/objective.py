"""The cost of one agent's plan as a function of its variables, with its gradient."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from espalier.robots.swarm.traj.minco import adjoint, solve
from espalier.robots.swarm.traj.penalties import Around, penalties
from espalier.robots.swarm.traj.quintic import Floats, effort, effort_by_durations, effort_by_states
from espalier.robots.swarm.traj.timemap import slope, to_duration


class Task(NamedTuple):
    """head, tail: (3, 3) states. pieces: m. free: whether the position and velocity of the tail are variables; its
    position is then pulled to that of `tail`, by goal_weight.
    """

    head: Floats
    tail: Floats
    pieces: int
    free: bool
    goal_weight: float
    around: Around


@njit(cache=True)
def unpacked(variables: Floats, task: Task) -> tuple[Floats, Floats, Floats]:
    """Waypoints (m - 1, 3), durations (m,) and tail (3, 3): in this order, the tail where it is free, they are the
    variables; durations by `timemap`.
    """
    m = task.pieces
    waypoints, durations, tail = np.empty((m - 1, 3)), np.empty(m), task.tail.copy()
    for i in range(m):
        durations[i] = to_duration(variables[3 * m - 3 + i])
        for x in range(3):
            if i < m - 1:
                waypoints[i, x] = variables[3 * i + x]
    if task.free:
        for x in range(3):
            tail[0, x], tail[1, x] = variables[4 * m - 3 + x], variables[4 * m + x]
    return waypoints, durations, tail


@njit(cache=True)
def objective(variables: Floats, task: Task) -> tuple[float, Floats]:
    """Effort and penalties, and their gradient by the variables."""
    m = task.pieces
    waypoints, durations, tail = unpacked(variables, task)
    curve = solve(task.head, tail, waypoints, durations)
    cost, by_coefficients, by_durations = penalties(curve.coefficients, durations, task.around)
    cost += effort(curve.coefficients, durations)
    by_states, by_times = adjoint(curve, durations, by_coefficients, by_durations)
    pull, drain = (
        effort_by_states(curve.coefficients, durations),
        effort_by_durations(curve.coefficients, curve.coefficients),
    )
    gradient = np.empty_like(variables)
    for i in range(m):
        gradient[3 * m - 3 + i] = (by_times[i] + drain[i]) * slope(durations[i])
        for x in range(3):
            if i < m - 1:
                gradient[3 * i + x] = by_states[i + 1, 0, x] + 2.0 * pull[i + 1, 0, x]
    if task.free:
        for x in range(3):
            away = tail[0, x] - task.tail[0, x]
            cost += task.goal_weight * away**2
            gradient[4 * m - 3 + x] = by_states[m, 0, x] + 2.0 * (pull[m, 0, x] + task.goal_weight * away)
            gradient[4 * m + x] = by_states[m, 1, x] + 2.0 * pull[m, 1, x]
    return cost, gradient
