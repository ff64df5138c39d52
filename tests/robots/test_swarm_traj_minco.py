"""Curves of least jerk: known cases, a slow version, smoothness, optimality, gradients, invariances."""

from __future__ import annotations

from math import factorial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espalier.robots.swarm.traj.minco import Gradient, Minco
from espalier.robots.swarm.traj.timemap import from_durations, slope, to_duration
from espalier.robots.swarm.traj.trajectory import Trajectory

SEEDS = st.integers(0, 2**32 - 1)


def some(seed: int) -> tuple[Minco, np.random.Generator]:
    rng = np.random.default_rng(seed)
    m = int(rng.integers(1, 8))
    head, tail = rng.normal(size=(2, 3, 3))
    return Minco(head, tail, rng.normal(size=(m - 1, 3)), rng.uniform(0.4, 2.5, m)), rng


def row(t: float, order: int) -> np.ndarray:
    """By which coefficients become a derivative at t."""
    powers = [factorial(k) / factorial(k - order) * t ** (k - order) if k >= order else 0.0 for k in range(6)]
    return np.array(powers)


def slow(curve: Minco) -> np.ndarray:
    """All conditions on the coefficients in one dense system."""
    m = len(curve.durations)
    matrix, right, n = np.zeros((6 * m, 6 * m)), np.zeros((6 * m, 3)), 0
    for order in range(3):
        matrix[n, :6], right[n] = row(0.0, order), curve.head[order]
        matrix[n + 1, -6:], right[n + 1] = row(curve.durations[-1], order), curve.tail[order]
        n += 2
    for i in range(m - 1):
        at = slice(6 * i, 6 * i + 6)
        matrix[n, at], right[n] = row(curve.durations[i], 0), curve.waypoints[i]
        n += 1
        for order in range(5):
            matrix[n, at] = row(curve.durations[i], order)
            matrix[n, 6 * i + 6 : 6 * i + 12] = -row(0.0, order)
            n += 1
    return np.linalg.solve(matrix, right).reshape(m, 6, 3)


def differences(f, x: np.ndarray) -> np.ndarray:  # type: ignore[no-untyped-def]
    """The gradient of a scalar f by central differences of the fourth order."""
    out, step = np.empty_like(x), 1e-4
    for place in np.ndindex(x.shape):
        move = np.zeros_like(x)
        move[place] = step
        out[place] = (8 * (f(x + move) - f(x - move)) - f(x + 2 * move) + f(x - 2 * move)) / (12 * step)
    return out


def test_from_rest_to_rest_by_hand() -> None:
    d, t = np.array([2.0, -1.0, 0.5]), 1.6
    rest = np.zeros((2, 3))
    curve = Minco(np.zeros((3, 3)), np.vstack([d, rest]), np.empty((0, 3)), np.array([t]))
    expected = np.outer([0, 0, 0, 10 / t**3, -15 / t**4, 6 / t**5], d)
    np.testing.assert_allclose(curve.coefficients[0], expected, atol=1e-12)
    assert curve.effort == pytest.approx(720 * (d**2).sum() / t**5)
    gradient = curve.effort_gradient()
    assert gradient.durations == pytest.approx(-3600 * (d**2).sum() / t**6)
    assert gradient.tail[0] == pytest.approx(1440 * d / t**5)


def test_effort_from_speed_to_speed_by_hand() -> None:
    """To stop from v = 1 in the unit time, ending anywhere would cost less than ending at d = 0: 192 v^2 there."""
    head, tail = np.zeros((2, 3, 3))
    head[1, 0] = 1.0
    assert Minco(head, tail, np.empty((0, 3)), np.ones(1)).effort == pytest.approx(192.0)


@given(SEEDS)
def test_it_is_the_solution_of_the_dense_system(seed: int) -> None:
    curve, _ = some(seed)
    np.testing.assert_allclose(curve.coefficients, slow(curve), rtol=1e-6, atol=1e-6)


@given(SEEDS)
def test_it_passes_the_waypoints_and_is_smooth_up_to_the_fourth_derivative(seed: int) -> None:
    curve, _ = some(seed)
    pieces, m = curve.coefficients, len(curve.durations)
    for order in range(5):
        ends = np.stack([row(t, order) @ piece for t, piece in zip(curve.durations, pieces, strict=True)])
        begins = factorial(order) * pieces[:, order]
        scale = np.abs(pieces).max() * 100
        np.testing.assert_allclose(ends[:-1], begins[1:], rtol=1e-9, atol=1e-12 * scale)
        if order < 3:
            np.testing.assert_allclose(begins[0], curve.head[order], atol=1e-12 * scale)
            np.testing.assert_allclose(ends[-1], curve.tail[order], atol=1e-12 * scale)
    times = curve.durations.cumsum()
    np.testing.assert_allclose(curve.trajectory().position(times[: m - 1]), curve.waypoints, atol=1e-9)


@given(SEEDS)
def test_a_quintic_through_its_own_points_is_found_again(seed: int) -> None:
    curve, rng = some(seed)
    whole = Minco(curve.head, curve.tail, np.empty((0, 3)), np.array([3.0])).trajectory()
    cuts = np.sort(rng.uniform(0.3, 2.7, 3))
    if np.diff(cuts).min() < 0.05:
        return
    parts = np.diff([0.0, *cuts, 3.0])
    again = Minco(curve.head, curve.tail, whole.position(cuts), parts).trajectory()
    times = np.linspace(0, 3, 50)
    np.testing.assert_allclose(again.position(times), whole.position(times), atol=1e-8)
    np.testing.assert_allclose(again.jerk(times), whole.jerk(times), rtol=1e-5, atol=1e-5)


@given(SEEDS)
def test_the_effort_is_the_integral_of_the_squared_jerk_and_the_least(seed: int) -> None:
    """Gauss quadrature is exact here. Whatever else passes the waypoints has more: here, one more of them."""
    curve, rng = some(seed)
    nodes, weights = np.polynomial.legendre.leggauss(5)
    begins = np.concatenate([[0.0], curve.durations.cumsum()[:-1]])
    times = begins[:, None] + 0.5 * (nodes + 1) * curve.durations[:, None]
    squares = (curve.trajectory().jerk(times) ** 2).sum(-1)
    assert curve.effort == pytest.approx((0.5 * curve.durations[:, None] * weights * squares).sum(), rel=1e-9)
    half = curve.durations[0] / 2
    through = curve.trajectory().position(half) + rng.normal(0, 0.1, 3)
    bent = Minco(
        curve.head,
        curve.tail,
        np.vstack([through, curve.waypoints]),
        np.array([half, half, *curve.durations[1:]]),
    )
    assert bent.effort > curve.effort


def compare(curve: Minco, gradient: Gradient, value) -> None:  # type: ignore[no-untyped-def]
    """value: of (tail, waypoints, durations)."""
    head = curve.head
    slopes = (
        differences(lambda tail: value(Minco(head, tail, curve.waypoints, curve.durations)), curve.tail),
        differences(lambda q: value(Minco(head, curve.tail, q, curve.durations)), curve.waypoints),
        differences(lambda t: value(Minco(head, curve.tail, curve.waypoints, t)), curve.durations),
    )
    for found, wanted in zip((gradient.tail, gradient.waypoints, gradient.durations), slopes, strict=True):
        scale = max(np.abs(wanted).max(initial=0.0), 1e-3)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * scale)


@settings(max_examples=40)
@given(SEEDS)
def test_gradients_of_the_effort(seed: int) -> None:
    curve, _ = some(seed)
    compare(curve, curve.effort_gradient(), lambda other: other.effort)


@settings(max_examples=40)
@given(SEEDS)
def test_gradients_of_any_function(seed: int) -> None:
    curve, rng = some(seed)
    weights, times = rng.normal(size=curve.coefficients.shape), rng.normal(size=curve.durations.shape)

    def value(one: Minco) -> float:
        return float((weights * one.coefficients * (1.0 + 0.01 * one.coefficients)).sum() + times @ one.durations**2)

    by_coefficients = weights * (1.0 + 0.02 * curve.coefficients)
    compare(curve, curve.gradient(by_coefficients, 2 * times * curve.durations), value)


@given(SEEDS)
def test_where_and_when_does_not_matter(seed: int) -> None:
    curve, rng = some(seed)
    move, late = rng.normal(size=3), rng.uniform(-100, 100)
    moved = Minco(curve.head.copy(), curve.tail.copy(), curve.waypoints + move, curve.durations)
    moved.head[0] += move
    moved.tail[0] += move
    assert moved.effort == pytest.approx(curve.effort, rel=1e-8)
    times = np.linspace(0, curve.durations.sum(), 20)
    here, there = curve.trajectory().position(times), moved.trajectory(late).position(times + late)
    np.testing.assert_allclose(there, here + move, atol=1e-8)


@given(SEEDS)
def test_derivatives_of_a_trajectory(seed: int) -> None:
    curve, rng = some(seed)
    one, step = curve.trajectory(1.0), 1e-5
    times = rng.uniform(1.0 + 2 * step, one.end_s - 2 * step, (4, 5))
    for low, high in ((one.position, one.velocity), (one.velocity, one.acceleration), (one.acceleration, one.jerk)):
        found = high(times)
        assert found.shape == (4, 5, 3)
        slopes = (low(times + step) - low(times - step)) / (2 * step)
        np.testing.assert_allclose(slopes, found, rtol=1e-4, atol=1e-4 * np.abs(found).max())
    assert one.position(2.0).shape == (3,)


def test_before_and_after_its_time_by_hand() -> None:
    coefficients = np.zeros((1, 6, 3))
    coefficients[0, :3] = [[1, 0, 0], [2, 0, 1], [0, 1, 0]]
    one = Trajectory(coefficients, np.array([3.0]), 10.0)
    assert one.end_s == 13.0
    assert one.position([10, 13]).tolist() == [[1, 0, 0], [7, 9, 3]]
    assert one.velocity(13.0).tolist() == [2, 6, 1]
    assert one.acceleration(13.0).tolist() == [0, 2, 0]
    assert one.acceleration([9.0, 14.0]).tolist() == [[0] * 3, [0] * 3]
    assert one.position([8, 15]).tolist() == [[-3, 0, -2], [11, 21, 5]]
    assert one.velocity([8, 15]).tolist() == [[2, 0, 1], [2, 6, 1]]
    assert Trajectory.hover((1, 2, 3)).position(99.0).tolist() == [1, 2, 3]


@given(st.floats(1e-3, 1e3))
def test_durations_and_their_variables(duration: float) -> None:
    (tau,) = from_durations(np.array([duration]))
    assert to_duration(tau) == pytest.approx(duration, rel=1e-9)
    step = 1e-6 * max(1.0, abs(tau))
    difference = (to_duration(tau + step) - to_duration(tau - step)) / (2 * step)
    assert slope(duration) == pytest.approx(difference, rel=1e-5)
    assert to_duration(-1e8) > 0.0
