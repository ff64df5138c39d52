"""Dubins paths: by hand, against the textbook's formulas, and what must hold for all of them."""

from __future__ import annotations

from math import acos, atan2, cos, hypot, pi, sin, sqrt

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from espalier.robots.terrain.plan.arcs import ahead
from espalier.robots.terrain.plan.dubins import DubinsPath, dubins, shortest

Pose = tuple[float, float, float]
POSES = st.tuples(st.floats(-5, 5), st.floats(-5, 5), st.floats(-7, 7))
RADII = st.floats(0.2, 3)


def end(start: Pose, path: DubinsPath) -> Pose:
    for curvature, length in path.pieces:
        start = ahead(*start, curvature, length)
    return start


def turn(angle: float) -> float:
    return angle % (2 * pi)


def textbook(start: Pose, goal: Pose, radius: float) -> float:
    """Length of the shortest word. Source: Shkel & Lumelsky, 2001, equations of the six words."""
    dx, dy = goal[0] - start[0], goal[1] - start[1]
    d, theta = hypot(dx, dy) / radius, atan2(dy, dx)
    a, b = start[2] - theta, goal[2] - theta
    found = []
    for left in (True, False):  # a word and its mirror image
        ca, sa, cb, sb = cos(a), sin(a) if left else -sin(a), cos(b), sin(b) if left else -sin(b)
        u, v = (a, b) if left else (-a, -b)
        p2 = 2 + d * d - 2 * cos(u - v) + 2 * d * (sa - sb)
        if p2 >= 0:  # LSL
            angle = atan2(cb - ca, d + sa - sb)
            found.append(turn(angle - u) + sqrt(p2) + turn(v - angle))
        p2 = -2 + d * d + 2 * cos(u - v) + 2 * d * (sa + sb)
        if p2 >= 0:  # LSR
            p = sqrt(p2)
            angle = atan2(-ca - cb, d + sa + sb) - atan2(-2.0, p)
            found.append(turn(angle - u) + p + turn(angle - v))
        cosine = (6 - d * d + 2 * cos(u - v) + 2 * d * (sb - sa)) / 8
        if abs(cosine) <= 1:  # LRL
            p = turn(2 * pi - acos(cosine))
            t = turn(-u + atan2(-ca + cb, d + sa - sb) + p / 2)
            found.append(t + p + turn(v - u - t + p))
    return radius * min(found)


@pytest.mark.parametrize(
    ("goal", "radius", "word", "length"),
    [
        ((10, 0, 0), 1.0, "LSL", 10.0),
        ((0, 5, pi), 1.0, "LSL", pi + 3),
        ((0, -10, pi), 2.0, "RSR", 2 * pi + 6),
        ((2, 5, 0), 1.0, "LSR", pi + 3),
        ((2, -5, 0), 1.0, "RSL", pi + 3),
        ((0, 0, pi), 1.0, "LRL", 7 * pi / 3),
    ],
)
def test_by_hand(goal: Pose, radius: float, word: str, length: float) -> None:
    path = dubins((0, 0, 0), goal, radius)
    assert (path.word, path.length_m) == (word, pytest.approx(length))


@given(POSES, POSES, RADII)
def test_ends_meet_and_nothing_is_shorter_than_straight(start: Pose, goal: Pose, radius: float) -> None:
    path = dubins(start, goal, radius)
    x, y, yaw = end(start, path)
    assert (x, y) == pytest.approx(goal[:2], abs=1e-7)
    assert cos(yaw - goal[2]) == pytest.approx(1.0, abs=1e-12)
    assert path.length_m >= hypot(goal[0] - start[0], goal[1] - start[1]) - 1e-9
    assert (path.pieces[:, 1] >= 0).all()
    assert np.abs(path.pieces[:, 0]).max() == pytest.approx(1 / radius)


@given(POSES, POSES, RADII)
def test_the_textbook_finds_nothing_else(start: Pose, goal: Pose, radius: float) -> None:
    ours, theirs = dubins(start, goal, radius).length_m, textbook(start, goal, radius)
    whole = 2 * pi * radius  # the textbook's turn by almost nothing may round to a whole one
    assert ours <= theirs + 1e-6
    assert ours == pytest.approx(theirs, abs=1e-5) or theirs - ours == pytest.approx(whole, abs=1e-5)


@given(POSES, POSES, RADII, POSES)
def test_moving_the_world_changes_nothing(start: Pose, goal: Pose, radius: float, world: Pose) -> None:
    def moved(pose: Pose) -> Pose:
        c, s = cos(world[2]), sin(world[2])
        return world[0] + c * pose[0] - s * pose[1], world[1] + s * pose[0] + c * pose[1], world[2] + pose[2]

    one, other = dubins(start, goal, radius).length_m, dubins(moved(start), moved(goal), radius).length_m
    assert one == pytest.approx(other, abs=1e-5) or abs(one - other) == pytest.approx(2 * pi * radius, abs=1e-5)


@given(POSES, POSES, POSES, RADII)
def test_a_stop_between_is_no_short_cut(start: Pose, stop: Pose, goal: Pose, radius: float) -> None:
    whole = dubins(start, goal, radius).length_m
    assert whole <= dubins(start, stop, radius).length_m + dubins(stop, goal, radius).length_m + 1e-6


@given(POSES, st.tuples(st.floats(-5, 5), st.floats(-5, 5)))
def test_a_point_without_a_heading(start: Pose, goal: tuple[float, float]) -> None:
    dx, dy = goal[0] - start[0], goal[1] - start[1]
    assume(hypot(dx, dy) > 1e-3)
    path = DubinsPath("", shortest(dx, dy, start[2], 0.0, False))
    assert end(start, path)[:2] == pytest.approx(goal, abs=1e-7)
    headed = min(dubins(start, (*goal, yaw), 1.0).length_m for yaw in np.linspace(0, 2 * pi, 40))
    inside = min(hypot(dx + side * sin(start[2]), dy - side * cos(start[2])) for side in (1, -1)) < 1
    assert path.length_m <= headed + 1e-6 or inside  # within a circle three turns may be shorter
