"""Hybrid A*: whatever the map, the curves are no tighter than allowed, the path is free and ends where it should."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from espalier.robots.terrain.plan.arcs import ahead, sampled, toll_of
from espalier.robots.terrain.plan.config import HybridConfig
from espalier.robots.terrain.plan.curve import curvatures
from espalier.robots.terrain.plan.dubins import dubins
from espalier.robots.terrain.plan.errors import PlanError
from espalier.robots.terrain.plan.hybrid import PosePath, hybrid
from espalier.robots.terrain.plan.obstacles import BLOCKED, FREE

CELL = 0.2
Pose = tuple[float, float, float]


def world(seed: int, size: int = 60, share: float = 0.15) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    hills = ndimage.gaussian_filter(rng.random((size, size)), 3)
    state = np.where(hills > np.quantile(hills, 1 - share), BLOCKED, FREE).astype(np.uint8)
    return state, 1.0 + 3.0 * (hills - hills.min()) / np.ptp(hills)


def somewhere(state: np.ndarray, rng: np.random.Generator) -> Pose:
    row, col = rng.permutation(np.argwhere(state == FREE))[0]
    return float(col + rng.random()), float(row + rng.random()), float(rng.uniform(-np.pi, np.pi))


def check(state: np.ndarray, start: Pose, goal: tuple[float, ...], found: PosePath, radius: float) -> None:
    """radius: in cells."""
    poses, bends, direction = sampled(start, found.pieces)
    assert poses[0] == pytest.approx(start)
    assert poses[-1, :2] == pytest.approx(goal[:2], abs=1e-5)
    if len(goal) == 3:
        assert np.cos(poses[-1, 2] - goal[2]) == pytest.approx(1.0, abs=1e-10)
    assert np.abs(bends).max(initial=0.0) <= (1 + 1e-12) / radius
    whole = direction[1:-1] == direction[2:]  # a cusp has no circle
    steps = np.hypot(*np.diff(poses[:, :2], axis=0).T)
    whole &= np.minimum(steps[1:], steps[:-1]) > 1e-4
    assert np.abs(curvatures(poses[:, :2])[1:-1][whole]).max(initial=0.0) <= (1 + 1e-6) / radius
    for share in np.linspace(0, 1, 9):
        x, y = ((1 - share) * poses[:-1, :2] + share * poses[1:, :2]).T
        assert (state[np.floor(y).astype(int), np.floor(x).astype(int)] == FREE).all()


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.booleans(), st.booleans(), st.floats(0.5, 1.5))
def test_a_path_is_free_and_within_its_radius(seed: int, headed: bool, reverse: bool, radius_m: float) -> None:
    state, toll = world(seed)
    rng = np.random.default_rng(seed)
    start, goal = somewhere(state, rng), somewhere(state, rng)[: 3 if headed else 2]
    config = HybridConfig(turning_radius_m=radius_m, allow_reverse=reverse, max_poses=50_000)
    found = hybrid(state, toll, start, goal, config, CELL)
    if np.isfinite(found.cost):
        check(state, start, goal, found, radius_m / CELL)
        assert reverse or (found.pieces[:, 1] > 0).all()


def test_the_end_of_a_drive_that_was_possible_is_found() -> None:
    for seed in range(25):
        state, toll = world(seed)
        rng = np.random.default_rng(seed)
        start = pose = somewhere(state, rng)
        for _ in range(40):
            curvature, length = (int(rng.integers(3)) - 1) / 5, rng.uniform(1, 8)
            if np.isfinite(toll_of(state, toll, *pose, curvature, length)):
                pose = ahead(*pose, curvature, length)
        found = hybrid(state, toll, start, pose, HybridConfig(), CELL)
        assert np.isfinite(found.cost)
        check(state, start, pose, found, 5.0)


def test_in_the_open_it_is_the_dubins_path() -> None:
    state, toll = np.zeros((80, 80), np.uint8), np.ones((80, 80))
    start, goal = (20.5, 40.5, 1.0), (60.5, 45.0, -2.0)
    found = hybrid(state, toll, start, goal, HybridConfig(turn_penalty=0.0), CELL)
    assert found.cost == pytest.approx(dubins(start, goal, 5.0).length_m, rel=1e-4)  # of chords
    assert found.expanded == 1


def test_backwards_into_a_dead_end() -> None:
    state = np.full((30, 30), BLOCKED, np.uint8)
    state[10:20, :] = FREE  # a road
    state[20:28, 14:17] = FREE  # and a bay as wide as the robot, to be left nose first
    start, goal = (5.5, 13.5, 0.0), (15.5, 26.5, -np.pi / 2)
    forwards = hybrid(state, np.ones(state.shape), start, goal, HybridConfig(turning_radius_m=0.8), CELL)
    assert np.isinf(forwards.cost)
    config = HybridConfig(turning_radius_m=0.8, allow_reverse=True)
    found = hybrid(state, np.ones(state.shape), start, goal, config, CELL)
    check(state, start, goal, found, 4.0)
    assert found.pieces[-1, 1] < 0


def test_costly_ground_is_gone_around() -> None:
    state, toll = np.zeros((60, 60), np.uint8), np.ones((60, 60))
    toll[20:40, 25:35] = 8.0
    found = hybrid(state, toll, (5.5, 30.5, 0.0), (55.5, 30.5), HybridConfig(), CELL)
    assert found.cost < 1.2 * 50  # straight on it is 50 + 7 * 10


def test_nothing_is_found_behind_a_wall_and_said_at_once() -> None:
    state = np.zeros((20, 20), np.uint8)
    state[:, 10] = BLOCKED
    found = hybrid(state, np.ones(state.shape), (2.5, 2.5, 0.0), (15.5, 2.5), HybridConfig(), CELL)
    assert (np.isinf(found.cost), found.expanded) == (True, 0)


def test_a_motion_leaves_its_cell() -> None:
    with pytest.raises(PlanError, match=r"step_m: 0\.28 is no more than a cell's diagonal, 0\.283 m"):
        hybrid(np.zeros((9, 9), np.uint8), np.ones((9, 9)), (1, 1, 0), (5, 5), HybridConfig(step_m=0.28), CELL)
