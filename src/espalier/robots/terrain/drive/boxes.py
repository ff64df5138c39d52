"""Boxes that come and go on the ground."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from espalier.robots.terrain.drive.config import Obstacle
from espalier.robots.terrain.ground import Ground

Floats = npt.NDArray[np.float64]
APART_M = 0.04
"""Between the points on the faces of a box."""


class Boxes:
    """The points of a cloud and of the boxes that stand on it at a time."""

    def __init__(self, ground: Ground, obstacles: tuple[Obstacle, ...]) -> None:
        self._ground, self._obstacles = ground, obstacles
        self._faces = [_faces(one) + np.array([0.0, 0.0, ground.height(one.x_m, one.y_m)]) for one in obstacles]
        self._under = [_under(one, ground.points) for one in obstacles]

    def points(self, seconds: float) -> Floats:
        """(n, 3): what can be seen; ground under a box cannot."""
        there = [k for k, one in enumerate(self._obstacles) if one.from_s <= seconds < one.to_s]
        if not there:
            return self._ground.points
        seen = ~np.logical_or.reduce([self._under[k] for k in there])
        return np.concatenate([self._ground.points[seen], *(self._faces[k] for k in there)])

    def clearance(self, x: float, y: float, seconds: float) -> float:
        """Metres from a place to the nearest box that stands; infinite where none does, 0 inside one."""
        there = [one for one in self._obstacles if one.from_s <= seconds < one.to_s]
        away = [np.maximum(np.abs([x - one.x_m, y - one.y_m]) - one.side_m / 2, 0.0) for one in there]
        return min((float(np.hypot(*one)) for one in away), default=float("inf"))


def _under(box: Obstacle, points: Floats) -> npt.NDArray[np.bool_]:
    half = box.side_m / 2
    return (np.abs(points[:, 0] - box.x_m) < half) & (np.abs(points[:, 1] - box.y_m) < half)


def _faces(box: Obstacle) -> Floats:
    """Points on the top and the four sides, z from the ground up."""
    half = box.side_m / 2
    along = np.arange(-half, half + APART_M, APART_M).clip(-half, half)
    up = np.arange(0.0, box.height_m + APART_M, APART_M).clip(0.0, box.height_m)
    a, b = (one.ravel() for one in np.meshgrid(along, up))
    ends = np.full_like(a, half)
    top_x, top_y = (one.ravel() for one in np.meshgrid(along, along))
    sides = [
        (a, ends, b),
        (a, -ends, b),
        (ends, a, b),
        (-ends, a, b),
        (top_x, top_y, np.full_like(top_x, box.height_m)),
    ]
    return np.concatenate([np.stack(side, axis=-1) for side in sides]) + np.array([box.x_m, box.y_m, 0.0])
