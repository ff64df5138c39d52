"""Solids, of which scenes are built: what their surface is, and what lies inside."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import numpy.typing as npt

from espalier.robots.terrain.scenes.sample import Floats, Rng, rectangle

Bools = npt.NDArray[np.bool_]

TOUCH = 1e-6
"""Metres: a point this near to a solid is inside, so that where two touch neither has a surface."""


class Solid(Protocol):
    """Something with an inside."""

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """The least and the greatest (3,) x, y, z of a box that holds it."""

    def surface(self, density: float, rng: Rng) -> Floats:
        """(n, 3) points, about `density` a square metre."""

    def contains(self, points: Floats) -> Bools:
        """(n,): which of (n, 3) points are inside or on the surface."""


def turned(yaw: float = 0.0, pitch: float = 0.0, roll: float = 0.0) -> Floats:
    """(3, 3) rotation: roll about x, then pitch about y (positive raises the x axis), then yaw about z; radians."""
    (a, b, c), (s, t, u) = np.cos((yaw, pitch, roll)), np.sin((yaw, pitch, roll))
    about_z = np.array([[a, -s, 0], [s, a, 0], [0, 0, 1]])
    about_y = np.array([[b, 0, -t], [0, 1, 0], [t, 0, b]])
    about_x = np.array([[1, 0, 0], [0, c, -u], [0, u, c]])
    return about_z @ about_y @ about_x


@dataclass(frozen=True)
class Box:
    """centre: (3,). half: (3,) half of each side. turn: (3, 3) from its own axes to the world's."""

    centre: Floats
    half: Floats
    turn: Floats = field(default_factory=lambda: np.eye(3))

    @classmethod
    def between(cls, low: tuple[float, float, float], high: tuple[float, float, float]) -> Box:
        """An upright one along the axes, from corner to corner."""
        least, most = np.array(low), np.array(high)
        return cls((least + most) / 2, (most - least) / 2)

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """See `Solid`."""
        reach = np.abs(self.turn) @ self.half
        return self.centre - reach, self.centre + reach

    def surface(self, density: float, rng: Rng) -> Floats:
        """See `Solid`."""
        faces = []
        for axis in range(3):
            across, along = (axis + 1) % 3, (axis + 2) % 3
            for side in (-1.0, 1.0):
                flat = rectangle(2 * self.half[across], 2 * self.half[along], density, rng)
                face = np.empty((len(flat), 3))
                face[:, [across, along]] = flat - self.half[[across, along]]
                face[:, axis] = side * self.half[axis]
                faces.append(face)
        return self.centre + np.concatenate(faces) @ self.turn.T

    def contains(self, points: Floats) -> Bools:
        """See `Solid`."""
        own = np.abs((points - self.centre) @ self.turn)
        return np.all(own <= self.half + TOUCH, axis=1)


@dataclass(frozen=True)
class Cylinder:
    """centre: (3,). Its axis is its own z, `half_length` each way. turn: (3, 3) from its own axes to the world's."""

    centre: Floats
    radius: float
    half_length: float
    turn: Floats = field(default_factory=lambda: np.eye(3))

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """See `Solid`."""
        reach = np.abs(self.turn) @ (self.radius, self.radius, self.half_length)
        return self.centre - reach, self.centre + reach

    def surface(self, density: float, rng: Rng) -> Floats:
        """See `Solid`."""
        unrolled = rectangle(2 * np.pi * self.radius, 2 * self.half_length, density, rng)
        angle = unrolled[:, 0] / self.radius
        parts = [
            np.stack([self.radius * np.cos(angle), self.radius * np.sin(angle), unrolled[:, 1] - self.half_length], 1)
        ]
        for end in (-self.half_length, self.half_length):
            disc = rectangle(2 * self.radius, 2 * self.radius, density, rng) - self.radius
            disc = disc[(disc**2).sum(1) < self.radius**2]
            parts.append(np.column_stack([disc, np.full(len(disc), end)]))
        return self.centre + np.concatenate(parts) @ self.turn.T

    def contains(self, points: Floats) -> Bools:
        """See `Solid`."""
        own = (points - self.centre) @ self.turn
        inside: Bools = (own[:, :2] ** 2).sum(1) <= (self.radius + TOUCH) ** 2
        return inside & (np.abs(own[:, 2]) <= self.half_length + TOUCH)


@dataclass(frozen=True)
class Ellipsoid:
    """centre: (3,). half: (3,) semi-axes along the world's axes."""

    centre: Floats
    half: Floats

    @property
    def bounds(self) -> tuple[Floats, Floats]:
        """See `Solid`."""
        return self.centre - self.half, self.centre + self.half

    def surface(self, density: float, rng: Rng) -> Floats:
        """See `Solid`. Points of the unit sphere, stretched, and thinned where it was stretched less."""
        most = self.half.prod() / self.half.min()  # square metres that a unit of the sphere's area becomes
        angle, z = (rectangle(2 * np.pi, 2.0, density * most, rng) - (0.0, 1.0)).T
        level = np.sqrt(1.0 - z**2)
        sphere = np.stack([level * np.cos(angle), level * np.sin(angle), z], 1)
        stretched = self.half.prod() * np.sqrt(((sphere / self.half) ** 2).sum(1))
        return self.centre + sphere[rng.random(len(sphere)) * most < stretched] * self.half

    def contains(self, points: Floats) -> Bools:
        """See `Solid`."""
        inside: Bools = (((points - self.centre) / (self.half + TOUCH)) ** 2).sum(1) <= 1.0
        return inside
