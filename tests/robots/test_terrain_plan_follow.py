"""Pure pursuit: it converges, stays on curves, stops at the goal and keeps to the limits."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espalier.robots.terrain.plan.config import FollowConfig
from espalier.robots.terrain.plan.curve import curvatures, headings, speeds, stations, times
from espalier.robots.terrain.plan.errors import PlanError
from espalier.robots.terrain.plan.follow import PurePursuit, drive
from espalier.robots.terrain.plan.route import Route

CONFIG = FollowConfig()
Pose = tuple[float, float, float]


def along(points: np.ndarray, gear: float = 1.0) -> Route:
    station, direction = stations(points), np.full(len(points), gear)
    bend = curvatures(points)
    speed = speeds(station, bend, direction, CONFIG)
    yaw = headings(points) + (0 if gear > 0 else np.pi)
    zeros, took = np.zeros(len(points)), times(station, speed, CONFIG.accel_mps2)
    return Route(points, zeros, zeros, yaw, bend, direction, speed, took, "astar", 0, 0.0)


def line(length: float = 20.0) -> np.ndarray:
    return np.stack([np.linspace(0, length, 201), np.zeros(201)], 1)


def circle(radius: float, turned: float) -> np.ndarray:
    angle = np.linspace(0, turned, 400)
    return radius * np.stack([np.sin(angle), 1 - np.cos(angle)], 1)


def followed(
    pose: Pose, route: Route, seconds: float = 60.0, step: float = 0.05
) -> Iterator[tuple[Pose, float, float]]:
    """Pose and command, step by step until the robot stands."""
    pursuit, near = PurePursuit(CONFIG), None
    for _ in range(int(seconds / step)):
        speed, turn = pursuit.command(pose, route, near)
        yield pose, speed, turn
        if not speed:
            return
        near = pursuit.locate(pose, route, near)
        pose = drive(pose, speed, turn, step)
    pytest.fail("the robot did not arrive")


@settings(max_examples=25)
@given(st.floats(-1.5, 1.5), st.floats(-2.0, 2.0))
def test_it_converges_to_a_straight_and_stops_at_its_end(off: float, yaw: float) -> None:
    drives = list(followed((0.0, off, yaw), along(line())))
    for (x, y, _), speed, turn in drives:
        assert 0 <= speed <= CONFIG.speed_mps
        assert abs(turn) <= CONFIG.max_curvature * speed + 1e-12
        assert abs(turn * speed) <= CONFIG.lateral_mps2 + 1e-9
        assert x < 12 or abs(y) < 0.01
    x, y, _ = drives[-1][0]
    assert np.hypot(x - 20, y) <= CONFIG.goal_m
    assert drives[-1][1:] == (0.0, 0.0)
    assert drives[-2][1] < 0.4  # it had slowed down


@pytest.mark.parametrize("radius", [1.0, 2.0, 5.0])
def test_on_a_circle_the_error_is_small(radius: float) -> None:
    errors = [
        abs(np.hypot(x, y - radius) - radius)
        for (x, y, _), _, _ in followed((0.0, 0.0, 0.0), along(circle(radius, 5.5)))
    ]
    assert max(errors[len(errors) // 4 :]) < 0.03 * radius
    assert len(errors) > 40


def test_a_route_that_crosses_itself() -> None:
    turned = np.linspace(0, 2 * np.pi, 200)
    eight = 3 * np.stack([np.sin(2 * turned), 2 * np.sin(turned)], 1)
    route = along(eight[5:-5])
    start = (*route.points[0], float(route.heading[0]))
    drives = list(followed(start, route, seconds=120))
    assert np.hypot(*(np.array(drives[-1][0][:2]) - route.points[-1])) <= CONFIG.goal_m
    assert len(drives) * 0.05 > 0.8 * route.length_m  # it took no short cut at the crossing


def test_backwards() -> None:
    points = circle(3.0, 2.0)
    route = along(points, -1.0)
    drives = list(followed((0.0, 0.1, np.pi), route))
    assert all(speed <= 0 for _, speed, _ in drives)
    assert np.hypot(*(np.array(drives[-1][0][:2]) - points[-1])) <= CONFIG.goal_m
    assert np.cos(drives[-1][0][2] - route.heading[-1]) > 0.99


def test_by_hand() -> None:
    pursuit, route = PurePursuit(CONFIG), along(line())
    assert pursuit.command((10.0, 0.0, 0.0), route) == (1.0, 0.0)
    assert pursuit.command((0.0, 0.0, 0.0), route) == (CONFIG.creep_mps, 0.0)
    speed, turn = pursuit.command((10.0, 0.6, 0.0), route)  # the target is 0.8 ahead and 0.6 to the right: 1 away
    assert (speed, turn) == (pytest.approx(np.sqrt(0.5 / 1.2)), pytest.approx(-1.2 * np.sqrt(0.5 / 1.2)))
    speed, turn = pursuit.command((10.0, 0.0, np.pi), route)
    assert abs(turn / speed) == CONFIG.max_curvature
    assert pursuit.command((21.0, 3.0, 0.0), route) == (0.0, 0.0)
    speed, turn = pursuit.command((19.7, 0.1, 0.0), route)  # braking, and steering at a point beyond the goal
    assert speed == pytest.approx(np.sqrt(0.3))
    assert turn / speed == pytest.approx(-0.2 / ((0.3 + 0.5 * np.sqrt(0.3)) ** 2 + 0.1**2))
    ring = along(circle(2.0, 2 * np.pi))  # ends where it begins
    assert pursuit.command((0.0, 0.0, 0.0), ring)[0] == CONFIG.creep_mps
    assert pursuit.command((0.0, 0.0, 0.0), ring, ring.length_m) == (0.0, 0.0)
    alone = along(np.array([[1.0, 2.0]]))
    assert pursuit.command((1.0, 2.05, 0.0), alone) == (0.0, 0.0)


def test_a_cusp_is_for_the_caller() -> None:
    route = along(line())
    route.direction[100:] = -1.0
    with pytest.raises(PlanError, match=r"follow its legs\(\)"):
        PurePursuit(CONFIG).command((0.0, 0.0, 0.0), route)


def test_a_unicycle_drives_arcs() -> None:
    assert drive((0.0, 0.0, 0.0), 2.0, 0.0, 1.5) == (3.0, 0.0, 0.0)
    assert drive((0.0, 0.0, 0.0), 1.0, 0.5, np.pi) == pytest.approx((2.0, 2.0, np.pi / 2))
    assert drive((1.0, 1.0, np.pi / 2), -1.0, 0.0, 1.0) == pytest.approx((1.0, 0.0, np.pi / 2))
