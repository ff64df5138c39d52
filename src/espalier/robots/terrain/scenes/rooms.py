"""Rooms: a level floor with walls, doors on sills, and furniture that keeps the doors free. There is no ceiling."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from espalier.robots.terrain.scenes.config import SceneConfig
from espalier.robots.terrain.scenes.floorplan import Door, FloorPlan, Rect, floor_plan
from espalier.robots.terrain.scenes.parts import Parts
from espalier.robots.terrain.scenes.place import SUNK_M, TRIES
from espalier.robots.terrain.scenes.sample import Floats, Rng, rectangle
from espalier.robots.terrain.scenes.shapes import Box, Solid

WALL_HIGH_M, DOOR_HIGH_M = 2.5, 2.1
GAP_M = 0.03
"""Between furniture and the wall behind it."""
FURNITURE_M = {"table": (1.4, 0.8, 0.75), "shelf": (1.2, 0.4, 1.8), "bed": (2.0, 1.4, 0.5), "chest": (0.6, 0.5, 0.45)}
AT_WALLS = ("shelf", "bed")
PASSAGE_M = 0.8
"""Between a piece of furniture and others, and to the walls that it does not stand at."""


def rooms(config: SceneConfig, rng: Rng) -> Parts:
    """A floor of rooms, each of which a robot of up to 0.4 m radius can reach. Doors are open, and have no upper end
    where there are no lintels.
    """
    plan = floor_plan(config.size_m, rng)
    solids: list[Solid] = [_box(wall, -SUNK_M, WALL_HIGH_M) for wall in plan.walls]
    if config.overhangs:
        solids += [_box(door.place, DOOR_HIGH_M, WALL_HIGH_M) for door in plan.doors]
    solids += _furniture(plan, config.obstacles, rng)

    def height(x: Floats, y: Floats) -> Floats:
        z = np.zeros(np.broadcast(x, y).shape)
        for door in plan.doors:
            x0, y0, x1, y1 = door.place
            z[(x >= x0) & (x < x1) & (y >= y0) & (y < y1)] = door.sill_m
        return z

    faces = [face for door in plan.doors for face in _sill(door, config.density_per_m2, rng)]
    return Parts(height, solids, np.concatenate([np.empty((0, 3)), *faces]))


def _box(place: Rect, low: float, high: float) -> Box:
    return Box.between((place.x0, place.y0, low), (place.x1, place.y1, high))


def _sill(door: Door, density: float, rng: Rng) -> Sequence[Floats]:
    """(n, 3) points on each of the two upright faces of a sill."""
    x0, y0, x1, y1 = door.place
    faces = []
    for far in (False, True):
        along, up = rectangle(y1 - y0 if door.along_y else x1 - x0, door.sill_m, density, rng).T
        fixed = np.full(len(along), (x1 if far else x0) if door.along_y else (y1 if far else y0))
        faces.append(np.stack([fixed, y0 + along, up] if door.along_y else [x0 + along, fixed, up], 1))
    return faces


def _furniture(plan: FloorPlan, count: int, rng: Rng) -> list[Solid]:
    """Boxes along the axes, in rooms chosen by their area, with passages between them and before doors."""
    areas = np.array([(room.x1 - room.x0) * (room.y1 - room.y0) for room in plan.rooms])
    taken = [door.clear for door in plan.doors]
    solids: list[Solid] = []
    for number in rng.choice(len(areas), count, p=areas / areas.sum()):
        name = str(rng.choice(list(FURNITURE_M)))
        for _ in range(TRIES):
            place = _spot(plan.rooms[number], name, rng)
            if not any(place.meets(other) for other in taken):
                taken.append(place.grown(PASSAGE_M, PASSAGE_M))
                solids.append(_box(place, -SUNK_M, FURNITURE_M[name][2]))
                break
    return solids


def _spot(room: Rect, name: str, rng: Rng) -> Rect:
    """Somewhere in the room, at each wall or with a passage to it; things of AT_WALLS with their long side at one."""
    long, deep, _ = FURNITURE_M[name]
    along_y, backed = rng.random() < 0.5, name in AT_WALLS
    wide, high = (deep, long) if along_y else (long, deep)
    x = _between(room.x0, room.x1 - wide, backed and along_y, rng)
    y = _between(room.y0, room.y1 - high, backed and not along_y, rng)
    return Rect(x, y, x + wide, y + high)


def _between(low: float, high: float, at_end: bool, rng: Rng) -> float:
    """Somewhere from `low` to `high`; at that end, but for the gap, that it would be too near to."""
    at = float(rng.uniform(low, high))
    if at_end or min(at - low, high - at) < PASSAGE_M:
        return low + GAP_M if at < (low + high) / 2 else high - GAP_M
    return at
