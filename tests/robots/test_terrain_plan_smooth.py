"""Lines of sight, smooth routes, and the figures of a curve."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espalier.robots.terrain.plan.astar import astar
from espalier.robots.terrain.plan.config import FollowConfig
from espalier.robots.terrain.plan.curve import curvatures, headings, speeds, stations, times
from espalier.robots.terrain.plan.obstacles import BLOCKED, FREE, LEAVING
from espalier.robots.terrain.plan.sight import walk, walks
from espalier.robots.terrain.plan.smooth import divided, smooth, straight


def open_world(rows: int, cols: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros((rows, cols), np.uint8), np.ones((rows, cols))


def test_a_line_by_hand() -> None:
    state, toll = open_world(3, 4)
    toll[0, :] = [1, 2, 4, 8]
    assert walk(state, toll, 0.5, 0.5, 3.25, 0.5, FREE) == (FREE, 0.5 * 1 + 2 + 4 + 0.25 * 8)
    assert walk(state, toll, 3.25, 0.5, 0.5, 0.5, FREE)[1] == pytest.approx(8.5)
    assert walk(state, toll, 0.5, 0.5, 1.5, 1.5, FREE)[1] == pytest.approx(np.sqrt(2))  # half of it at 1, half at 1
    assert walk(state, toll, 0.5, 0.5, 0.5, 0.5, FREE) == (FREE, 0.0)
    for out in ((-0.1, 0.5), (4.1, 0.5), (0.5, 3.1)):
        assert walk(state, toll, 0.5, 0.5, *out, FREE) == (BLOCKED, np.inf)
    state[0, 1] = BLOCKED
    assert walk(state, toll, 0.5, 0.5, 1.5, 1.5, FREE) == (BLOCKED, np.inf)  # through the corner
    assert walk(state, toll, 0.5, 0.5, 1.4, 1.6, FREE)[0] == FREE  # above it


def test_a_state_may_fall_along_a_line_and_not_rise() -> None:
    state, toll = open_world(1, 3)
    state[0] = [LEAVING, LEAVING, FREE]
    assert walk(state, toll, 0.5, 0.5, 2.5, 0.5, LEAVING)[0] == FREE
    assert walk(state, toll, 2.5, 0.5, 0.5, 0.5, FREE)[0] == BLOCKED


@given(st.lists(st.floats(0.01, 5.99), min_size=4, max_size=4), st.integers(0, 10**6))
def test_a_line_costs_what_its_samples_cost(ends: list[float], seed: int) -> None:
    state, _ = open_world(6, 6)
    toll = np.random.default_rng(seed).uniform(1, 5, (6, 6))
    x0, y0, x1, y1 = ends
    share = (np.arange(20_000) + 0.5) / 20_000
    x, y = x0 + share * (x1 - x0), y0 + share * (y1 - y0)
    slow = toll[y.astype(int), x.astype(int)].mean() * np.hypot(x1 - x0, y1 - y0)
    assert walk(state, toll, x0, y0, x1, y1, FREE)[1] == pytest.approx(slow, rel=2e-3, abs=1e-9)


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.floats(0.5, 12.0), st.sampled_from([0.1, 0.25, 0.35]))
def test_a_smooth_route_is_free_whatever_the_map(seed: int, length: float, share: float) -> None:
    rng = np.random.default_rng(seed)
    state = np.where(rng.random((25, 25)) < share, BLOCKED, FREE).astype(np.uint8)
    toll = rng.uniform(1, 4, (25, 25))
    free = rng.permutation(np.argwhere(state == FREE))
    found = astar(state, toll, tuple(free[0]), tuple(free[1]))
    if found is None:
        return
    path = found.cells[:, ::-1] + 0.5
    kept = path[straight(state, toll, path, 0.02)]
    assert walks(state, toll, kept).sum() <= found.cost * 1.02 + 1e-9
    out = smooth(state, toll, path, length, 0.02)
    assert (out[0] == path[0]).all()
    assert (out[-1] == path[-1]).all()
    for part in np.linspace(0, 1, 9):
        x, y = ((1 - part) * out[:-1] + part * out[1:]).T
        assert (state[np.floor(y).astype(int), np.floor(x).astype(int)] == FREE).all()


def test_smoothing_rounds_a_corner() -> None:
    state, toll = open_world(30, 30)
    state[:14, :14] = BLOCKED
    corner = np.array([[2.5, 20.5], [20.5, 20.5], [20.5, 2.5]])
    toll[:19, :19] = toll[22:] = toll[:, 22:] = 50.0  # so that no straight line is cheaper
    out = smooth(state, toll, corner, 3.0, 0.0)
    assert np.abs(curvatures(out)).max() < 0.5
    assert np.abs(np.diff(np.unwrap(headings(out)))).max() < 0.2
    assert 0.5 < np.hypot(*(out - corner[1]).T).min() < 2.5
    energy = [np.sum(np.diff(line, 3, axis=0) ** 2) for line in (out, divided(corner, 0.5))]
    assert energy[0] < 0.02 * energy[1]


def test_where_the_smooth_way_is_barred_it_is_pulled_back_and_still_smooth() -> None:
    state, toll = open_world(30, 30)
    state[:20, :20] = BLOCKED
    corner = np.array([[2.5, 20.5], [20.5, 20.5], [20.5, 2.5]])
    out = smooth(state, toll, corner, 3.0, 0.0)
    assert np.isfinite(walks(state, toll, out)).all()
    assert 0.05 < np.hypot(*(out - corner[1]).T).min() < 0.71
    assert np.sum(np.diff(out, 3, axis=0) ** 2) < 0.3 * np.sum(np.diff(divided(corner, 0.5), 3, axis=0) ** 2)


def test_a_straight_stays_straight_and_a_point_a_point() -> None:
    state, toll = open_world(9, 30)
    out = smooth(state, toll, np.array([[1.5, 2.5], [9.0, 4.0], [24.0, 7.0]]), 4.0, 0.1)
    assert np.abs(curvatures(out)).max() < 1e-6
    for count in (1, 2):
        few = np.array([[1.5, 2.5], [2.5, 2.5]])[:count]
        assert smooth(state, toll, few, 4.0, 0.0)[[0, -1]].tolist() == few[[0, -1]].tolist()


def test_the_figures_of_a_circle() -> None:
    angle = np.linspace(0, 2, 201)
    for side in (1, -1):
        points = np.stack([4 * np.sin(angle), side * 4 * (1 - np.cos(angle))], 1)
        assert curvatures(points)[1:-1] == pytest.approx(np.full(199, side / 4))
        assert headings(points)[1:-1] == pytest.approx(side * angle[1:-1])
        assert stations(points)[-1] == pytest.approx(8.0, rel=1e-3)


def test_speeds_and_times_by_hand() -> None:
    config = FollowConfig(speed_mps=2.0, accel_mps2=0.5, lateral_mps2=0.5)
    station = np.linspace(0, 20, 2001)
    speed = speeds(station, np.zeros(2001), np.ones(2001), config)
    assert speed[[0, 100, 400, 1000, 1900, 2000]] == pytest.approx([0, 1, 2, 2, 1, 0])
    assert times(station, speed, 0.5)[-1] == pytest.approx(4 + 6 + 4)
    curve = speeds(station, np.full(2001, 0.5), np.ones(2001), config)
    assert curve.max() == pytest.approx(1.0)
    direction = np.where(np.arange(2001) <= 1000, 1.0, -1.0)
    cusp = speeds(station, np.zeros(2001), direction, config)
    assert cusp[[900, 1000, 1100]] == pytest.approx([1, 0, -1])
    ends = np.array([0.0, 2.0])
    assert times(ends, speeds(ends, np.zeros(2), np.ones(2), config), 0.5)[-1] == pytest.approx(4.0)


@given(st.integers(0, 10**6))
def test_speeds_keep_to_the_limits(seed: int) -> None:
    rng = np.random.default_rng(seed)
    config = FollowConfig()
    station = np.concatenate([[0.0], rng.uniform(0.01, 0.3, 80).cumsum()])
    bend = rng.normal(0, 1, 81)
    speed = speeds(station, bend, np.ones(81), config)
    assert (speed[[0, -1]] == 0).all()
    assert speed.max() <= config.speed_mps
    assert (speed**2 * np.abs(bend)).max() <= config.lateral_mps2 + 1e-9
    assert np.abs(np.diff(speed**2) / np.diff(station) / 2).max() <= config.accel_mps2 + 1e-9
