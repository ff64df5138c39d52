"""Road: with a crown, kerbs that are lowered at a crossing, pavements, a ditch, parked cars and bins, between fields.

`off` is the distance from the middle line, positive on the left; `side` is 1 on the left and -1 on the right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from espalier.robots.terrain.scenes.config import SceneConfig
from espalier.robots.terrain.scenes.hills import fractal
from espalier.robots.terrain.scenes.parts import Parts
from espalier.robots.terrain.scenes.place import TRIES, upright
from espalier.robots.terrain.scenes.sample import Floats, Height, Rng, rectangle
from espalier.robots.terrain.scenes.shapes import Box, Solid

HALF_M = 3.25
"""Half of the carriageway."""
FALL = 0.025
"""Slope of the carriageway from its middle down to the kerbs, and of the pavements down to them."""
KERB_M = {1: 0.15, -1: 0.12}
PAVEMENT_M = {1: 2.2, -1: 1.8}
LOWERED = 0.85
"""Share by which a kerb is lower at the crossing."""
CROSSING_M, RAMP_M = 2.0, 1.0
"""Half of the lowered kerb, and the way along and across the pavement from there to its full height."""
DITCH_M, DITCH_DEPTH_M = (5.9, 8.3), 0.6
"""From the middle line, on the right."""
FIELDS_M, MELT_M = 5.5, 4.0
"""From the middle line to where the ground begins to turn into that of the fields, and how far this takes."""
CAR_M, CABIN_M, BIN_M = (4.2, 1.8, 0.85), (2.3, 1.6, 0.6), (0.7, 0.6, 1.1)
BETWEEN_M, EDGE_M = 0.8, 0.2
"""Least gap between parked things, and to the edge of the square."""


def road(config: SceneConfig, rng: Rng) -> Parts:
    """A road along x through the whole square, gently winding and rising."""
    size = config.size_m
    fields = fractal(size, config.relief, rng, shortest_m=4.0)
    course = Course(
        swing_m=rng.uniform(0.5, 1.2),
        rise_m=rng.uniform(0.1, 0.3),
        swing=rng.uniform(0.0, 2 * np.pi),
        rise=rng.uniform(0.0, 2 * np.pi),
        crossing=rng.uniform(-0.3, 0.3) * size,
        fields=fields,
    )
    faces = [course.kerb(side, size, config.density_per_m2, rng) for side in (1, -1)]
    return Parts(course.height, _parked(course, config, rng), np.concatenate(faces))


@dataclass(frozen=True)
class Course:
    """swing_m, rise_m: how far the road winds, and rises and falls. swing, rise: where in these waves it is at x = 0.
    crossing: x where the kerbs are lowered. fields: the ground far from the road.
    """

    swing_m: float
    rise_m: float
    swing: float
    rise: float
    crossing: float
    fields: Height

    def middle(self, x: Floats) -> Floats:
        """y of the middle line."""
        return self.swing_m * np.sin(2 * np.pi * x / 60.0 + self.swing)

    def yaw(self, x: float) -> float:
        """Direction of the road."""
        return float(np.arctan(self.swing_m * 2 * np.pi / 60.0 * np.cos(2 * np.pi * x / 60.0 + self.swing)))

    def height(self, x: Floats, y: Floats) -> Floats:
        """Of the ground, kerbs and pavements included."""
        off = y - self.middle(x)
        base = self.rise_m * np.sin(2 * np.pi * x / 80.0 + self.rise)
        share = _smooth((np.abs(off) - FIELDS_M) / MELT_M)
        return (1.0 - share) * base + share * self.fields(x, y) + self._profile(x, off)

    def kerb(self, side: int, size_m: float, density: float, rng: Rng) -> Floats:
        """(n, 3) points on a kerb's face."""
        flat = rectangle(size_m, KERB_M[side], density, rng)
        x, up = flat[:, 0] - size_m / 2, flat[:, 1]
        y = self.middle(x) + side * HALF_M
        low, lift = self.height(x, y - side * 1e-9), self._lift(side, x, np.array(HALF_M))
        return np.stack([x, y, low + up], 1)[up < lift]

    def _profile(self, x: Floats, off: Floats) -> Floats:
        """Height above the middle line, where there are no fields."""
        out = np.abs(off)
        lift = np.where(off > 0, self._lift(1, x, out), self._lift(-1, x, out))
        start, end = DITCH_M
        ditch = DITCH_DEPTH_M * np.sin(np.pi * ((-off - start) / (end - start)).clip(0.0, 1.0)) ** 2
        beside = FALL * (out - 2 * HALF_M).clip(-HALF_M, 0.0) + lift
        return np.where(out < HALF_M, -FALL * out, beside) - ditch

    def _lift(self, side: int, x: Floats, out: Floats) -> Floats:
        """What the kerb lifts the pavement by."""
        lowered = 1.0 - _smooth((np.abs(x - self.crossing) - CROSSING_M) / RAMP_M)
        return KERB_M[side] * (1.0 - LOWERED * lowered * (1.0 - _smooth((out - HALF_M) / RAMP_M)))


def _parked(course: Course, config: SceneConfig, rng: Rng) -> list[Solid]:
    """Cars at the kerbs, and bins, which are every third, at the back of the pavements. None is at the crossing."""
    solids: list[Solid] = []
    taken: list[tuple[int, bool, float, float]] = []
    for number in range(config.obstacles):
        car = number % 3 < 2
        half = (CAR_M if car else BIN_M)[0] / 2
        for _ in range(TRIES):
            x, side = rng.uniform(-1.0, 1.0) * (config.size_m / 2 - half - EDGE_M), int(rng.choice([-1, 1]))
            clear = abs(x - course.crossing) > half + CROSSING_M + RAMP_M
            beside = [other for other in taken if other[:2] == (side, car)]
            if clear and all(abs(x - there) > half + long + BETWEEN_M for _, _, there, long in beside):
                taken.append((side, car, x, half))
                solids += _car(course, x, side) if car else _bin(course, x, side)
                break
    return solids


def _car(course: Course, x: float, side: int) -> list[Solid]:
    """A body and a cabin."""
    body = _box(course, x, side * (HALF_M - 0.3 - CAR_M[1] / 2), CAR_M)
    top = body.centre[2] + body.half[2]
    length, width, tall = CABIN_M
    cabin = np.array([length, width, tall + 0.02]) / 2
    return [body, Box(np.array([*body.centre[:2], top - 0.02 + cabin[2]]), cabin, body.turn)]


def _bin(course: Course, x: float, side: int) -> list[Solid]:
    return [_box(course, x, side * (HALF_M + PAVEMENT_M[side] - BIN_M[1] / 2 - 0.1), BIN_M)]


def _box(course: Course, x: float, off: float, sides: tuple[float, float, float]) -> Box:
    y = float(course.middle(np.array(x))) + off
    return upright(course.height, np.array([x, y]), sides, course.yaw(x))


def _smooth(share: Floats) -> Floats:
    """From 0 at 0 to 1 at 1, level at both ends and beyond."""
    share = share.clip(0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)
