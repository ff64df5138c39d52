"""One revolution of a lidar with few beams, cast into places from a seed: rings that are far apart at range."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

import numpy as np

from espalier.core.seed import np_rng
from espalier.robots.terrain.scenes.config import SceneConfig
from espalier.robots.terrain.scenes.parts import Parts
from espalier.robots.terrain.scenes.place import at, upright
from espalier.robots.terrain.scenes.rays import first_hits
from espalier.robots.terrain.scenes.rooms import rooms
from espalier.robots.terrain.scenes.sample import Floats, Height, Rng
from espalier.robots.terrain.scenes.shapes import Box, Cylinder, Ellipsoid, Solid

NOISE_M = 0.02
"""Standard deviation of a range."""
LOST = 0.02
"""Share of the returns that do not come back."""
MAST_M = 1.8
NEAR_M = 2.0
"""Nothing stands so near to the sensor."""
ROOMS_M = 24.0


class Beams(NamedTuple):
    """number: of beams. low, high: elevation of the lowest and the highest beam, degrees. step: between azimuths,
    degrees. far_m: the greatest range.
    """

    number: int
    low: float
    high: float
    step: float
    far_m: float


BEAMS: Mapping[int, Beams] = {
    16: Beams(16, -15.0, 15.0, 0.2, 80.0),
    32: Beams(32, -30.7, 10.7, 0.2, 80.0),
    64: Beams(64, -24.9, 2.0, 0.17, 100.0),
}
"""As of the sensors with so many beams that are in wide use."""
Place = Literal["plane", "slope", "steps", "street", "trees", "rooms"]


def revolution(place: Place, beams: Beams, seed: int) -> Floats:
    """(n, 3) points in the frame of a sensor on a mast, with noise along their rays."""
    rng = np_rng(seed, "revolution", place)
    parts = PLACES[place](rng)
    sensor = np.array([0.0, 0.0, at(parts.height, np.zeros(2)) + (1.0 if place == "rooms" else MAST_M)])
    azimuth = np.radians(np.arange(0.0, 360.0, beams.step))
    elevation = np.radians(np.linspace(beams.low, beams.high, beams.number))
    turn, up = (each.ravel() for each in np.meshgrid(azimuth, elevation))
    rays = np.stack([np.cos(up) * np.cos(turn), np.cos(up) * np.sin(turn), np.sin(up)], 1)
    ranges = first_hits(parts.height, parts.solids, sensor, rays, beams.far_m, rng)
    seen = np.isfinite(ranges) & (rng.random(len(rays)) >= LOST)
    return rays[seen] * (ranges[seen] + rng.normal(0.0, NOISE_M, int(seen.sum())))[:, None]


def _tilted(most_degrees: float, rng: Rng) -> Height:
    """A plane in some direction, with gentle waves."""
    turn, tilt = rng.uniform(0, 2 * np.pi), np.tan(np.radians(rng.uniform(0.5, 1.0) * most_degrees))
    wave, phase = rng.uniform(12.0, 30.0), rng.uniform(0, 2 * np.pi, 2)

    def height(x: Floats, y: Floats) -> Floats:
        waves = 0.1 * np.sin(2 * np.pi * x / wave + phase[0]) + 0.1 * np.sin(2 * np.pi * y / wave + phase[1])
        z: Floats = tilt * (np.cos(turn) * x + np.sin(turn) * y) + waves
        return z

    return height


def _terraces(rng: Rng) -> Height:
    turn, rise, tread = rng.uniform(0, 2 * np.pi), rng.uniform(0.1, 0.4), rng.uniform(3.0, 12.0)

    def height(x: Floats, y: Floats) -> Floats:
        return rise * np.floor((np.cos(turn) * x + np.sin(turn) * y) / tread + 0.5)

    return height


def _things(height: Height, boxes: int, poles: int, trees: int, rng: Rng, half_m: float = 60.0) -> Parts:
    """Cars and crates, poles, and trees with crowns, more of them near."""
    solids: list[Solid] = []
    for number in range(boxes + poles + trees):
        away, turn = rng.uniform(NEAR_M + 2.0, half_m), rng.uniform(0, 2 * np.pi)
        xy = away * np.array([np.cos(turn), np.sin(turn)])
        if number < boxes:
            sides = (rng.uniform(0.6, 5.0), rng.uniform(0.6, 2.0), rng.uniform(0.3, 2.0))
            solids.append(upright(height, xy, sides, rng.uniform(0, np.pi)))
            continue
        tall, radius = (rng.uniform(3.0, 7.0), 0.06) if number < boxes + poles else (6.0, rng.uniform(0.1, 0.3))
        foot = at(height, xy)
        solids.append(Cylinder(np.array([*xy, foot + tall / 2]), radius, tall / 2 + 0.5))
        if number >= boxes + poles:
            wide = rng.uniform(1.0, 2.5, 2)
            solids.append(Ellipsoid(np.array([*xy, foot + 5.0]), np.array([*wide, rng.uniform(1.5, 2.5)])))
    return Parts(height, solids)


def _street(rng: Rng) -> Parts:
    """A road between kerbs, pavements and house fronts with gaps."""
    road, pavement = rng.uniform(3.0, 5.0), rng.uniform(1.5, 4.0)

    def height(x: Floats, y: Floats) -> Floats:
        return np.where(np.abs(y) > road, 0.14, 0.0) + 0.0 * x

    parts = _things(height, 14, 12, 6, rng, 45.0)
    front = road + pavement
    solids = [solid for solid in parts.solids if abs(solid.bounds[0][1] + solid.bounds[1][1]) / 2 < front - 1.0]
    for side in (-1.0, 1.0):
        x = -90.0
        while x < 90.0:
            wide, tall, back = rng.uniform(8.0, 25.0), rng.uniform(4.0, 15.0), rng.uniform(0.0, 3.0)
            near, far = sorted((side * (front + back), side * (front + back + 10.0)))
            solids.append(Box.between((x, near, -1.0), (x + wide, far, tall)))
            x += wide + rng.uniform(0.0, 6.0)
    return Parts(height, solids)


PLACES: Mapping[Place, Callable[[Rng], Parts]] = {
    "plane": lambda rng: _things(_tilted(0.5, rng), 10, 8, 0, rng),
    "slope": lambda rng: _things(_tilted(12.0, rng), 6, 4, 4, rng),
    "steps": lambda rng: _things(_terraces(rng), 8, 8, 0, rng),
    "street": _street,
    "trees": lambda rng: _things(_tilted(4.0, rng), 2, 4, 45, rng),
    "rooms": lambda rng: rooms(SceneConfig(kind="rooms", size_m=ROOMS_M), rng),
}
