"""What follows from the points of a curve: lengths, headings, curvature, speeds and times."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from espalier.robots.terrain.plan.config import FollowConfig

Floats = npt.NDArray[np.float64]


def stations(points: Floats) -> Floats:
    """(n,): length of the curve up to each of (n, 2) points."""
    return np.concatenate([[0.0], np.hypot(*np.diff(points, axis=0).T).cumsum()])


def headings(points: Floats) -> Floats:
    """(n,): direction of the curve at each of (n, 2) points, that from the one before to the one after; radians."""
    before, after = np.concatenate([points[:1], points[:-1]]), np.concatenate([points[1:], points[-1:]])
    return np.arctan2(after[:, 1] - before[:, 1], after[:, 0] - before[:, 0])


def curvatures(points: Floats) -> Floats:
    """(n,): of the circle through each of (n, 2) points and its neighbours, left positive; 0 at the ends."""
    out = np.zeros(len(points))
    if len(points) > 2:
        one, two = points[1:-1] - points[:-2], points[2:] - points[1:-1]
        cross = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
        sides = np.hypot(*one.T) * np.hypot(*two.T) * np.hypot(*(one + two).T)
        np.divide(2.0 * cross, sides, out=out[1:-1], where=sides > 0)
    return out


def speeds(
    station: Floats, curvature: Floats, directions: Floats, config: FollowConfig, begin_mps: float = 0.0
) -> Floats:
    """(n,): the fastest profile to rest within the limits, negative backwards; m/s.

    directions: (n,) 1 or -1, that of the piece which led to each point; where it changes, the robot stands. begin_mps:
    its speed at the start; less where it could not brake in time.
    """
    with np.errstate(divide="ignore"):
        squares = np.minimum(config.speed_mps**2, config.lateral_mps2 / np.abs(curvature))
    stands = np.concatenate([directions[1:] != directions[:-1], [True]])
    stands[0] = True
    begin = min(squares[0], begin_mps**2)
    squares[stands] = 0.0
    squares[0] = begin
    gains = 2.0 * config.accel_mps2 * np.diff(station)
    for k, gain in enumerate(gains):
        squares[k + 1] = min(squares[k + 1], squares[k] + gain)
    for k in range(len(gains) - 1, -1, -1):
        squares[k] = min(squares[k], squares[k + 1] + gains[k])
    return np.sqrt(squares) * directions


def times(station: Floats, speed: Floats, accel_mps2: float) -> Floats:
    """(n,): seconds from the start to each point, at constant acceleration between two; from rest to rest the robot
    speeds up half the way.
    """
    lengths, sums = np.diff(station), np.abs(speed[1:]) + np.abs(speed[:-1])
    rest = 2.0 * np.sqrt(lengths / accel_mps2)
    took = np.divide(2.0 * lengths, sums, out=rest, where=sums > 0)
    return np.concatenate([[0.0], took.cumsum()])
