"""What a trajectory costs beside its effort, with exact gradients by coefficients and durations.

Terms are cubes of what is missing or too much, summed over the middles of equal parts of each piece, times the length
of the part. Durations count three times: in that length, in where on the piece a sample lies, and, by the pieces
before, in the moment at which others are looked at.

Terms and weights: Swarm-Formation (Quan et al., T-RO 2023), as published. The formation's term is FLIP's, the
distance to places that a registration gives, or theirs, the graph metric. Altitude, the quadrature and all formulas are
ours.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from espalier.robots.swarm.traj.config import LimitsConfig, WeightsConfig
from espalier.robots.swarm.traj.graph_metric import Graph, shape_error
from espalier.robots.swarm.traj.neighbours import Neighbours, place
from espalier.robots.swarm.traj.quintic import Floats
from espalier.robots.swarm.traj.trajectory import derivative, locate
from espalier.robots.swarm.world.esdf import DistanceField, distance_at

FLAT = 0.25
"""Squared metres of distance to others that a squared metre of height counts."""

SOFT_M = 0.05
"""So far from the floor and the ceiling their term begins."""


class Terms(NamedTuple):
    """Limits and weights as numbers. separation, floor, ceiling: from where on others, the floor and the ceiling push;
    infinite for no floor and no ceiling.
    """

    clearance: float
    separation: float
    speed: float
    accel: float
    floor: float
    ceiling: float
    obstacle_weight: float
    reciprocal_weight: float
    dynamics_weight: float
    altitude_weight: float
    formation_weight: float
    graph_weight: float
    spacing_weight: float
    time_weight: float

    @classmethod
    def of(cls, limits: LimitsConfig, weights: WeightsConfig) -> Terms:
        """From their configurations."""
        return cls(
            limits.clearance_m,
            limits.separation_m * limits.separation_factor,
            limits.speed_mps,
            limits.accel_mps2,
            -np.inf if limits.floor_m is None else limits.floor_m + SOFT_M,
            np.inf if limits.ceiling_m is None else limits.ceiling_m - SOFT_M,
            weights.obstacle,
            weights.reciprocal,
            weights.dynamics,
            weights.altitude,
            weights.formation,
            weights.graph,
            weights.spacing,
            weights.time,
        )


class Places(NamedTuple):
    """Where the formation wants the vehicle. times: (k,) seconds, absolute. points: (k, 3)."""

    times: Floats
    points: Floats


class Around(NamedTuple):
    """What a trajectory is judged by. start: its absolute start time. samples: points a piece."""

    start: float
    samples: int
    terms: Terms
    field: DistanceField
    others: Neighbours
    places: Places
    graph: Graph


@njit(cache=True)
def penalties(coefficients: Floats, durations: Floats, around: Around) -> tuple[float, Floats, Floats]:
    """The cost of pieces (m, 6, 3) in durations (m,), and its gradients by both."""
    terms, samples = around.terms, around.samples
    m = len(durations)
    by_coefficients, by_durations = np.zeros((m, 6, 3)), np.full(m, terms.time_weight)
    later = np.zeros(m)  # gradient by the moment at which a piece begins
    state, pull = np.empty((4, 3)), np.empty((3, 3))
    points, velocities = np.empty((m * samples, 3)), np.empty((m * samples, 3))
    cost, begin = terms.time_weight * durations.sum(), around.start
    for i in range(m):
        part = durations[i] / samples
        for j in range(samples):
            share = (j + 0.5) / samples
            s = share * durations[i]
            _states(coefficients[i], s, state)
            points[i * samples + j], velocities[i * samples + j] = state[0], state[1]
            pull[:] = 0.0
            here = _obstacle(around.field, terms, state, pull) + _dynamics(terms, state, pull)
            there, moment = _reciprocal(around.others, terms, begin + s, state, pull)
            cost += part * (here + there)
            along = moment
            for x in range(3):
                along += pull[0, x] * state[1, x] + pull[1, x] * state[2, x] + pull[2, x] * state[3, x]
            by_durations[i] += (here + there) / samples + part * share * along
            later[i] += part * moment
            _spread(by_coefficients[i], s, part, pull)
        begin += durations[i]
    cost += _spacing(points, velocities, terms, samples, durations, by_coefficients, by_durations)
    cost += _formation(coefficients, durations, around, by_coefficients, by_durations, later)
    after = 0.0
    for i in range(m - 1, -1, -1):
        by_durations[i] += after
        after += later[i]
    return cost, by_coefficients, by_durations


@njit(cache=True)
def _states(piece: Floats, s: float, state: Floats) -> None:
    """state: (4, 3) gets position, velocity, acceleration and jerk at a time since the begin of a piece (6, 3)."""
    for x in range(3):
        a, b, c, d, e, f = piece[0, x], piece[1, x], piece[2, x], piece[3, x], piece[4, x], piece[5, x]
        state[0, x] = a + s * (b + s * (c + s * (d + s * (e + s * f))))
        state[1, x] = b + s * (2.0 * c + s * (3.0 * d + s * (4.0 * e + s * 5.0 * f)))
        state[2, x] = 2.0 * c + s * (6.0 * d + s * (12.0 * e + s * 20.0 * f))
        state[3, x] = 6.0 * d + s * (24.0 * e + s * 60.0 * f)


@njit(cache=True)
def _spread(by_piece: Floats, s: float, part: float, pull: Floats) -> None:
    """Add to the gradient by the coefficients of a piece (6, 3) what pulls at position, velocity and acceleration."""
    power = part
    for k in range(6):
        for x in range(3):
            by_piece[k, x] += power * pull[0, x]
            if k < 5:
                by_piece[k + 1, x] += (k + 1) * power * pull[1, x]
            if k < 4:
                by_piece[k + 2, x] += (k + 2) * (k + 1) * power * pull[2, x]
        power *= s


@njit(cache=True)
def _obstacle(field: DistanceField, terms: Terms, state: Floats, pull: Floats) -> float:
    """Clearance missing, and altitude."""
    distance, gx, gy, gz = distance_at(field, state[0, 0], state[0, 1], state[0, 2])
    missing, cost = terms.clearance - distance, 0.0
    if missing > 0.0:
        cost += terms.obstacle_weight * missing**3
        push = -3.0 * terms.obstacle_weight * missing**2
        pull[0, 0] += push * gx
        pull[0, 1] += push * gy
        pull[0, 2] += push * gz
    low, high = terms.floor - state[0, 2], state[0, 2] - terms.ceiling
    if low > 0.0:
        cost += terms.altitude_weight * low**3
        pull[0, 2] -= 3.0 * terms.altitude_weight * low**2
    if high > 0.0:
        cost += terms.altitude_weight * high**3
        pull[0, 2] += 3.0 * terms.altitude_weight * high**2
    return cost


@njit(cache=True)
def _dynamics(terms: Terms, state: Floats, pull: Floats) -> float:
    """Speed and acceleration too much."""
    cost = 0.0
    for order, limit in ((1, terms.speed), (2, terms.accel)):
        excess = state[order, 0] ** 2 + state[order, 1] ** 2 + state[order, 2] ** 2 - limit**2
        if excess > 0.0:
            cost += terms.dynamics_weight * excess**3
            for x in range(3):
                pull[order, x] += 6.0 * terms.dynamics_weight * excess**2 * state[order, x]
    return cost


@njit(cache=True)
def _reciprocal(others: Neighbours, terms: Terms, time: float, state: Floats, pull: Floats) -> tuple[float, float]:
    """Separation missing, and the gradient by the moment."""
    cost, moment, square = 0.0, 0.0, terms.separation**2
    for k in range(len(others.starts)):
        ox, oy, oz = place(others, k, time, 0)
        dx, dy, dz = state[0, 0] - ox, state[0, 1] - oy, state[0, 2] - oz
        missing = square - dx * dx - dy * dy - FLAT * dz * dz
        if missing > 0.0:
            cost += terms.reciprocal_weight * missing**3
            push = -6.0 * terms.reciprocal_weight * missing**2
            vx, vy, vz = place(others, k, time, 1)
            pull[0, 0] += push * dx
            pull[0, 1] += push * dy
            pull[0, 2] += push * FLAT * dz
            moment -= push * (dx * vx + dy * vy + FLAT * dz * vz)
    return cost, moment


@njit(cache=True)
def _spacing(
    points: Floats,
    velocities: Floats,
    terms: Terms,
    samples: int,
    durations: Floats,
    by_coefficients: Floats,
    by_durations: Floats,
) -> float:
    """The variance of the squared steps between samples (n, 3)."""
    steps = len(points) - 1
    if steps < 2 or terms.spacing_weight == 0.0:
        return 0.0
    squares = np.zeros(steps)
    for k in range(steps):
        for x in range(3):
            squares[k] += (points[k + 1, x] - points[k, x]) ** 2
    mean = squares.mean()
    pull = np.zeros((3, 3))
    weight, cost = terms.spacing_weight / steps, 0.0
    for k in range(steps + 1):
        i, share = k // samples, (k % samples + 0.5) / samples
        for x in range(3):
            pull[0, x] = 0.0
            if k:
                pull[0, x] += 4.0 * weight * (squares[k - 1] - mean) * (points[k, x] - points[k - 1, x])
            if k < steps:
                pull[0, x] -= 4.0 * weight * (squares[k] - mean) * (points[k + 1, x] - points[k, x])
            by_durations[i] += share * pull[0, x] * velocities[k, x]
        _spread(by_coefficients[i], share * durations[i], 1.0, pull)
        if k < steps:
            cost += weight * (squares[k] - mean) ** 2
    return cost


@njit(cache=True)
def _formation(
    coefficients: Floats,
    durations: Floats,
    around: Around,
    by_coefficients: Floats,
    by_durations: Floats,
    later: Floats,
) -> float:
    """The mean over given moments of the squared distance to places, and of the error of the graph, times its scale;
    after its end the vehicle flies on.
    """
    places, graph, terms = around.places, around.graph, around.terms
    moments, cost, total = len(places.times), 0.0, durations.sum()
    pull, point = np.zeros((3, 3)), np.empty(3)
    for k in range(moments + len(graph.times)):
        since = (places.times[k] if k < moments else graph.times[k - moments]) - around.start
        i, s = locate(durations, since)
        beyond = max(since - total, 0.0)
        for x in range(3):
            point[x] = derivative(coefficients[i], s, 0, x) + beyond * derivative(coefficients[i], s, 1, x)
        if k < moments:
            weight, value = terms.formation_weight / moments, _distance(point, places.points[k], pull[0])
        else:
            weight = terms.graph_weight * graph.wanted.scale / len(graph.times)
            value = shape_error(graph, k - moments, point, pull[0])
        cost += weight * value
        for x in range(3):
            pull[0, x] *= weight
            pull[1, x] = beyond * pull[0, x]
            by_durations[i] += pull[1, x] * derivative(coefficients[i], s, 2, x)
            if since > 0.0:
                later[i] -= pull[0, x] * derivative(coefficients[i], s, 1, x)
        _spread(by_coefficients[i], s, 1.0, pull)
    return cost


@njit(cache=True)
def _distance(point: Floats, place: Floats, pull: Floats) -> float:
    """Squared, between (3,) and (3,); pull: (3,) gets its gradient."""
    value = 0.0
    for x in range(3):
        away = point[x] - place[x]
        value += away**2
        pull[x] = 2.0 * away
    return value
