"""Pieces of constant curvature: driving along them, and what they cost over the cells."""

from __future__ import annotations

import numpy as np
from numba import njit

from espalier.robots.terrain.plan.obstacles import BLOCKED, Floats, States
from espalier.robots.terrain.plan.sight import walk

PITCH = 0.25
"""Cells between two points of a curve, at most; between them it is checked as a straight line."""


@njit(cache=True)
def ahead(x: float, y: float, yaw: float, curvature: float, length: float) -> tuple[float, float, float]:
    """The pose after a piece; a negative length is driven backwards."""
    turned = yaw + curvature * length
    if abs(curvature * length) < 1e-9:
        return x + length * np.cos(yaw), y + length * np.sin(yaw), turned
    return x + (np.sin(turned) - np.sin(yaw)) / curvature, y - (np.cos(turned) - np.cos(yaw)) / curvature, turned


@njit(cache=True)
def toll_of(state: States, toll: Floats, x: float, y: float, yaw: float, curvature: float, length: float) -> float:
    """Integral of the toll along a piece, in cells; infinite where it is barred."""
    count = max(int(np.ceil(abs(length) / PITCH)), 1)
    row, col = int(np.floor(y)), int(np.floor(x))
    level, cost, from_x, from_y = int(state[row, col]), 0.0, x, y
    for k in range(1, count + 1):
        to_x, to_y, _ = ahead(x, y, yaw, curvature, length * k / count)
        level, more = walk(state, toll, from_x, from_y, to_x, to_y, level)
        if level == BLOCKED:
            return np.inf
        cost, from_x, from_y = cost + more, to_x, to_y
    return cost


def sampled(start: tuple[float, float, float], pieces: Floats) -> tuple[Floats, Floats, Floats]:
    """Poses (n, 3) along pieces (k, 2) of curvature and signed length, those at which `toll_of` looked; and for each
    the curvature and the direction (1 forwards, -1 backwards) of the piece that led to it.
    """
    poses, curvatures, directions = [start], [pieces[0, 0] if len(pieces) else 0.0], []
    for curvature, length in pieces:
        count = max(int(np.ceil(abs(length) / PITCH)), 1)
        origin = poses[-1]
        poses += [ahead(*origin, curvature, length * k / count) for k in range(1, count + 1)]
        curvatures += [curvature] * count
        directions += [np.sign(length)] * count
    return np.array(poses), np.array(curvatures), np.array(directions[:1] + directions if directions else [1.0])
