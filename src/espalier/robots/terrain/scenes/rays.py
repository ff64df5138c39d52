"""What a ray meets first: the ground or a solid, exactly, and not the nearest point of a cloud."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from espalier.robots.terrain.scenes.sample import Floats, Height, Rng
from espalier.robots.terrain.scenes.shapes import Bools, Box, Cylinder, Ellipsoid, Solid

Ints = npt.NDArray[np.int64]

NEAREST_M, SHARE = 0.02, 0.01
"""The ground is looked for in steps of this length, and of this share of the range where that is more."""
HALVINGS = 20
LEAF_M = 0.7
"""Mean way of a ray into a crown, until it meets a leaf."""


def first_hits(
    height: Height, solids: Sequence[Solid], sensor: Floats, directions: Floats, far_m: float, rng: Rng
) -> Floats:
    """(n,): ranges at which rays from (3,) along unit (n, 3) directions meet something, inf where nothing is as near as
    `far_m`. An ellipsoid is a crown, through which a ray goes some way. Ours.
    """
    ranges = _ground(height, sensor, directions, far_m)
    for solid in solids:
        enters, leaves = _within(solid, sensor, directions)
        hit = (enters < leaves) & (leaves > 0.0)
        if isinstance(solid, Ellipsoid):
            enters = enters.clip(0.0) + rng.exponential(LEAF_M, len(enters))
            hit &= enters < leaves
        hit &= (enters > 0.0) & (enters < ranges)
        ranges[hit] = enters[hit]
    return np.where(ranges <= far_m, ranges, np.inf)


def _ground(height: Height, sensor: Floats, directions: Floats, far_m: float) -> Floats:
    """The first change of sign along each ray, then halved."""

    def below(rays: Ints, at: Floats) -> Bools:
        x, y, z = (sensor + directions[rays] * at[:, None]).T
        under: Bools = z <= height(x, y)
        return under

    ranges = np.full(len(directions), np.inf)
    left, near = np.arange(len(directions)), 0.0
    while near < far_m and len(left):
        far = near + max(NEAREST_M, SHARE * near)
        met = below(left, np.full(len(left), far))
        rays = left[met]
        low, high = np.full(len(rays), near), np.full(len(rays), far)
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            inside = below(rays, middle)
            low, high = np.where(inside, low, middle), np.where(inside, middle, high)
        ranges[rays] = high
        left, near = left[~met], far
    return ranges


def _within(solid: Solid, sensor: Floats, directions: Floats) -> tuple[Floats, Floats]:
    """(n,) ranges at which rays enter a solid and leave it; they miss it where the first is not less."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if isinstance(solid, Box):
            return _between(directions @ solid.turn, (sensor - solid.centre) @ solid.turn, solid.half)
        if isinstance(solid, Cylinder):
            along, start = directions @ solid.turn, (sensor - solid.centre) @ solid.turn
            enters, leaves = _sphere(along[:, :2] / solid.radius, start[:2] / solid.radius)
            low, high = _between(along[:, 2:], start[2:], np.array([solid.half_length]))
            return np.maximum(enters, low), np.minimum(leaves, high)
        if isinstance(solid, Ellipsoid):
            return _sphere(directions / solid.half, (sensor - solid.centre) / solid.half)
    raise TypeError(f"no ray is known to meet a {type(solid).__name__}")


def _between(along: Floats, start: Floats, half: Floats) -> tuple[Floats, Floats]:
    """Through pairs of planes, `half` (k,) on both sides of the middle, of rays (n, k)."""
    one, other = (-half - start) / along, (half - start) / along
    return np.minimum(one, other).max(1), np.maximum(one, other).min(1)


def _sphere(along: Floats, start: Floats) -> tuple[Floats, Floats]:
    """Through the unit circle or sphere, of rays (n, k)."""
    a, b, c = (along**2).sum(1), along @ start, start @ start - 1.0
    root = np.sqrt(b * b - a * c)  # NaN for those that miss it
    return (-b - root) / a, (-b + root) / a
