"""A floor divided into rooms, by walls that each have a door: so every room can be reached from every other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from espalier.robots.terrain.scenes.place import TRIES
from espalier.robots.terrain.scenes.sample import Rng

WALL_M = 0.16
"""Thickness of a wall."""
SMALLEST_M, LARGEST_M = 3.0, 9.0
"""Sides of a room: none is smaller, and a larger one is divided."""
CLEAR_M = 1.0
"""Before a door, on both sides."""
CORNER_M = 0.5
"""Least distance of a door from the ends of its wall."""


class Rect(NamedTuple):
    """Of the floor, along the axes; metres."""

    x0: float
    y0: float
    x1: float
    y1: float

    def meets(self, other: Rect) -> bool:
        """Whether the two have area in common."""
        return self.x0 < other.x1 and other.x0 < self.x1 and self.y0 < other.y1 and other.y0 < self.y1

    def grown(self, x: float, y: float) -> Rect:
        """Larger by this at each side."""
        return Rect(self.x0 - x, self.y0 - y, self.x1 + x, self.y1 + y)


@dataclass(frozen=True, slots=True)
class Door:
    """place: the opening, as thick as its wall. along_y: whether the wall runs along y. sill_m: height of its sill."""

    place: Rect
    along_y: bool
    sill_m: float

    @property
    def clear(self) -> Rect:
        """The opening and what must be free before it."""
        return self.place.grown(CLEAR_M, 0.1) if self.along_y else self.place.grown(0.1, CLEAR_M)


@dataclass(frozen=True, slots=True)
class FloorPlan:
    """rooms: their floors. walls: without the doors' openings. Walls touch, and no two overlap."""

    rooms: Sequence[Rect]
    walls: Sequence[Rect]
    doors: Sequence[Door]


def floor_plan(size_m: float, rng: Rng) -> FloorPlan:
    """A square around (0, 0) within outer walls that have no door."""
    half, inner = size_m / 2, size_m / 2 - WALL_M
    walls = [Rect(-half, y, half, y + WALL_M) for y in (-half, inner)]
    walls += [Rect(x, -inner, x + WALL_M, inner) for x in (-half, inner)]
    waiting, rooms, doors = [Rect(-inner, -inner, inner, inner)], list[Rect](), list[Door]()
    while waiting:
        room = waiting.pop()
        split = _split(room, doors, rng)
        if split is None:
            rooms.append(room)
            continue
        parts, pieces, door = split
        waiting += parts
        walls += pieces
        doors.append(door)
    return FloorPlan(rooms, walls, doors)


def _split(room: Rect, doors: Sequence[Door], rng: Rng) -> tuple[list[Rect], list[Rect], Door] | None:
    """Two rooms, the wall's two pieces and its door; None for a room that stays whole.

    The wall crosses the longer side, and ends at no door of the others.
    """
    width, height = room.x1 - room.x0, room.y1 - room.y0
    along_y = width >= height
    longer = max(width, height)
    if longer < 2 * SMALLEST_M + WALL_M or (longer < LARGEST_M and rng.random() < 0.5):
        return None
    for _ in range(TRIES):
        at = rng.uniform(SMALLEST_M, longer - SMALLEST_M - WALL_M)
        wide, sill = rng.uniform(0.9, 1.2), rng.uniform(0.02, 0.03)
        begin = rng.uniform(CORNER_M, min(width, height) - CORNER_M - wide)
        if along_y:
            x0, x1, y0, y1 = room.x0 + at, room.x0 + at + WALL_M, room.y0 + begin, room.y0 + begin + wide
            wall, opening = Rect(x0, room.y0, x1, room.y1), Rect(x0, y0, x1, y1)
            parts = [Rect(room.x0, room.y0, x0, room.y1), Rect(x1, room.y0, room.x1, room.y1)]
            pieces = [Rect(x0, room.y0, x1, y0), Rect(x0, y1, x1, room.y1)]
        else:
            x0, x1, y0, y1 = room.x0 + begin, room.x0 + begin + wide, room.y0 + at, room.y0 + at + WALL_M
            wall, opening = Rect(room.x0, y0, room.x1, y1), Rect(x0, y0, x1, y1)
            parts = [Rect(room.x0, room.y0, room.x1, y0), Rect(room.x0, y1, room.x1, room.y1)]
            pieces = [Rect(room.x0, y0, x0, y1), Rect(x1, y0, room.x1, y1)]
        if not any(wall.meets(door.clear) for door in doors):
            return parts, pieces, Door(opening, along_y, sill)
    return None
