"""Surfaces with heights and gradients in closed form, to measure a map's accuracy on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from espalier.core.seed import np_rng
from espalier.robots.terrain.cloud.cloud import Cloud
from espalier.robots.terrain.scenes.sample import Floats, Height


@dataclass(frozen=True)
class Surface:
    """height: from x and y, of one shape. gradient: from the same to the rise per metre along x and y, in a last axis
    of 2. At an edge the gradient is that of either side.
    """

    name: str
    height: Height
    gradient: Callable[[Floats, Floats], Floats]

    def slope(self, x: Floats, y: Floats) -> Floats:
        """Rise over run."""
        return np.linalg.norm(self.gradient(x, y), axis=-1)

    def sample(self, count: int, size_m: float = 10.0, noise_m: float = 0.0, seed: int = 0) -> Cloud:
        """`count` points in a square around (0, 0), uniform in x and y, with normal noise in z."""
        rng = np_rng(seed, "surface", self.name)
        x, y = rng.uniform(-size_m / 2, size_m / 2, (2, count))
        return Cloud(np.stack([x, y, self.height(x, y) + rng.normal(0.0, noise_m, count)], 1), self.name)


def plane(to_x: float = 0.2, to_y: float = -0.1, height_m: float = 0.0) -> Surface:
    """A plane of this gradient, `height_m` high at (0, 0)."""

    def height(x: Floats, y: Floats) -> Floats:
        return height_m + to_x * x + to_y * y

    def gradient(x: Floats, y: Floats) -> Floats:
        return np.broadcast_to(np.array([to_x, to_y]), (*np.broadcast(x, y).shape, 2))

    return Surface("plane", height, gradient)


def ramp(slope: float = 0.4, length_m: float = 4.0) -> Surface:
    """Level at 0, then up along x over `length_m` around x = 0, then level again."""

    def height(x: Floats, y: Floats) -> Floats:
        return slope * (x + length_m / 2).clip(0.0, length_m) + 0.0 * y

    def gradient(x: Floats, y: Floats) -> Floats:
        to_x = np.where(np.abs(x) < length_m / 2, slope, 0.0) + 0.0 * y
        return np.stack([to_x, np.zeros_like(to_x)], -1)

    return Surface("ramp", height, gradient)


def sphere_cap(radius_m: float = 5.0, height_m: float = 1.0) -> Surface:
    """The top of a sphere around the z axis, `height_m` high, on level ground at 0."""
    rim2 = radius_m**2 - (radius_m - height_m) ** 2

    def height(x: Floats, y: Floats) -> Floats:
        return np.sqrt(radius_m**2 - (x**2 + y**2).clip(None, rim2)) - (radius_m - height_m)

    def gradient(x: Floats, y: Floats) -> Floats:
        inside = x**2 + y**2 < rim2
        down = np.where(inside, height(x, y) + radius_m - height_m, np.inf)
        return -np.stack([x / down, y / down], -1)

    return Surface("sphere_cap", height, gradient)


def step(height_m: float = 0.15) -> Surface:
    """Level at 0 where x is negative, and at `height_m` elsewhere; no point lies on the upright face."""

    def height(x: Floats, y: Floats) -> Floats:
        return np.where(x < 0.0, 0.0, height_m) + 0.0 * y

    def gradient(x: Floats, y: Floats) -> Floats:
        return np.zeros((*np.broadcast(x, y).shape, 2))

    return Surface("step", height, gradient)
