"""Solids with exact signed distances, of which worlds are made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Point = tuple[float, float, float]


class Solid(Protocol):
    """Something that is in the way. All lengths are metres."""

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """The least and the greatest (3,) x, y, z of a box that holds it."""

    def distance(self, points: Floats) -> Floats:
        """(n,): from (n, 3) points to its surface, negative inside."""


@dataclass(frozen=True)
class Pole:
    """An upright cylinder around (x, y), from `low_m` to `high_m`."""

    x: float
    y: float
    radius_m: float
    low_m: float
    high_m: float

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """See `Solid`."""
        middle, reach = np.array([self.x, self.y]), self.radius_m
        return np.array([*(middle - reach), self.low_m]), np.array([*(middle + reach), self.high_m])

    def distance(self, points: Floats) -> Floats:
        """See `Solid`."""
        out = np.hypot(points[:, 0] - self.x, points[:, 1] - self.y) - self.radius_m
        up = np.abs(points[:, 2] - (self.low_m + self.high_m) / 2) - (self.high_m - self.low_m) / 2
        return _joined(np.stack([out, up], 1))


@dataclass(frozen=True)
class Ring:
    """An upright torus: a tube of radius `tube_m` around a circle of `radius_m`, whose axis is level at `yaw` (rad)."""

    centre: Point
    radius_m: float
    tube_m: float
    yaw: float

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """See `Solid`."""
        along = np.array([np.sin(self.yaw), np.cos(self.yaw), 1.0])
        reach = self.radius_m * np.abs(along) + self.tube_m
        return self.centre - reach, self.centre + reach

    def distance(self, points: Floats) -> Floats:
        """See `Solid`."""
        x, y, z = (points - self.centre).T
        through = np.cos(self.yaw) * x + np.sin(self.yaw) * y
        across = np.cos(self.yaw) * y - np.sin(self.yaw) * x
        out: Floats = np.hypot(np.hypot(across, z) - self.radius_m, through) - self.tube_m
        return out


@dataclass(frozen=True)
class Box:
    """A box along the axes, from its least corner to its greatest."""

    low: Point
    high: Point

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """See `Solid`."""
        return np.array(self.low), np.array(self.high)

    def distance(self, points: Floats) -> Floats:
        """See `Solid`."""
        low, high = self.bounds
        return _joined(np.abs(points - (low + high) / 2) - (high - low) / 2)


def _joined(beyond: Floats) -> Floats:
    """(n,): the distance to a solid that is bounded along independent directions, from (n, k) how far beyond each."""
    outside: Floats = np.linalg.norm(np.maximum(beyond, 0.0), axis=1)
    return outside + np.minimum(beyond.max(1), 0.0)
