"""The shortest path between two poses for a car that drives forwards with a least turning radius."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
Pose = tuple[float, float, float]

TURN = 2.0 * np.pi
WHOLE = 1e-9
"""A turn that lacks no more than this to a whole one is none."""


class DubinsPath(NamedTuple):
    """word: such as `LSR`, or `LS` to a point. pieces: (3, 2) curvature (1/m, left positive) and length (m) of each."""

    word: str
    pieces: Floats

    @property
    def length_m(self) -> float:
        """Of the path."""
        return float(self.pieces[:, 1].sum())


def dubins(start: Pose, goal: Pose, radius_m: float) -> DubinsPath:
    """The shortest of the words LSL, LSR, RSL, RSR, LRL and RLR. Poses are x, y (m) and yaw (rad).

    Source: Dubins, 1957; solved by the tangents of the two turning circles (ours).
    """
    (x, y, yaw), (to_x, to_y, to_yaw) = start, goal
    pieces = shortest((to_x - x) / radius_m, (to_y - y) / radius_m, yaw, to_yaw, True)
    word = "".join("RSL"[int(turn) + 1] for turn in pieces[:, 0])
    return DubinsPath(word, pieces * (1.0 / radius_m, radius_m))


@njit(cache=True)
def shortest(dx: float, dy: float, yaw: float, to_yaw: float, headed: bool) -> Floats:
    """(3, 2): turn (1 left, 0 straight, -1 right) and length of each piece to a goal at (dx, dy), in turning radii.

    headed: whether the goal has the heading `to_yaw`; if not, the path is one turn and a straight.

    A car on a circle of side s (1 left, -1 right) is at s * (sin yaw, -cos yaw) from its centre. So a straight of
    length p and direction u joins circles with centres D apart where D = p u + (s - s') * (sin u, -cos u). A goal
    without a heading is a circle of radius 0.
    """
    best = np.zeros((3, 2))
    best[:, 1] = np.inf
    for first in (1.0, -1.0):
        for last in (1.0, -1.0):
            end = last if headed else 0.0
            cx = dx - end * np.sin(to_yaw) + first * np.sin(yaw)
            cy = dy + end * np.cos(to_yaw) - first * np.cos(yaw)
            apart, angle = np.hypot(cx, cy), np.arctan2(cy, cx)
            square = apart**2 - (first - end) ** 2
            if square > -WHOLE:
                straight = np.sqrt(max(square, 0.0))
                along = angle + np.arctan2(first - end, straight)
                after = _arc(end * (to_yaw - along)) if headed else 0.0
                _keep(best, first, 0.0, end, _arc(first * (along - yaw)), straight, after)
            if headed and first == last and apart <= 4.0:
                _turns(best, first, yaw, to_yaw, angle, np.arccos(apart / 4.0))
    return best


@njit(cache=True)
def _turns(best: Floats, side: float, yaw: float, to_yaw: float, angle: float, corner: float) -> None:
    """LRL or RLR: the middle circle touches both others, on one side of the line between them or the other."""
    for sign in (1.0, -1.0):
        one = angle + sign * corner + side * np.pi / 2.0
        two = angle + np.pi - sign * corner + side * np.pi / 2.0
        _keep(best, side, -side, side, _arc(side * (one - yaw)), _arc(side * (one - two)), _arc(side * (to_yaw - two)))


@njit(cache=True)
def _arc(angle: float) -> float:
    angle = angle % TURN
    return 0.0 if angle > TURN - WHOLE else angle


@njit(cache=True)
def _keep(best: Floats, a: float, b: float, c: float, one: float, two: float, three: float) -> None:
    if one + two + three < best[0, 1] + best[1, 1] + best[2, 1]:
        best[0, 0], best[1, 0], best[2, 0] = a, b, c
        best[0, 1], best[1, 1], best[2, 1] = one, two, three
