"""Ruin: walls, blocks, tilted slabs, columns and heaps of rubble on gentle ground. Nothing floats: all is sunk in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from espalier.robots.terrain.scenes.config import SceneConfig
from espalier.robots.terrain.scenes.hills import fractal
from espalier.robots.terrain.scenes.parts import Parts
from espalier.robots.terrain.scenes.place import SUNK_M, TRIES, at, upright
from espalier.robots.terrain.scenes.sample import Floats, Height, Rng
from espalier.robots.terrain.scenes.shapes import Box, Cylinder, Ellipsoid, Solid, turned


def ruin(config: SceneConfig, rng: Rng) -> Parts:
    """Gentle ground with pieces anywhere in the square, also in each other."""
    half = config.size_m / 2
    height = fractal(config.size_m, config.relief, rng, shortest_m=6.0)
    solids: list[Solid] = []
    for _ in range(config.obstacles):
        kind = PIECES[rng.choice(len(PIECES), p=SHARES)]
        for _ in range(TRIES):
            piece = kind(height, rng.uniform(-half, half, 2), rng)
            if all(np.abs(bound[:2]).max() <= half for solid in piece for bound in solid.bounds):
                solids += piece
                break
    return Parts(height, solids)


def _wall(height: Height, xy: Floats, rng: Rng) -> list[Solid]:
    sides = rng.uniform(2.0, 6.0), rng.uniform(0.25, 0.4), rng.uniform(0.6, 2.2)
    return [upright(height, xy, sides, rng.choice([0.3, 0.3 + np.pi / 2]) + rng.normal(0.0, 0.05))]


def _block(height: Height, xy: Floats, rng: Rng) -> list[Solid]:
    length, width, tall = rng.uniform((0.4, 0.4, 0.2), (2.0, 1.5, 1.2))
    return [upright(height, xy, (length, width, tall), rng.uniform(0.0, 2 * np.pi))]


def _slab(height: Height, xy: Floats, rng: Rng) -> list[Solid]:
    """Like a ramp: the low edge is at the ground, and it is so thick that its underside is in the ground."""
    length, width, pitch, yaw = rng.uniform((1.5, 1.0, 0.15, 0.0), (3.5, 2.5, 0.6, 2 * np.pi))
    along = np.array([np.cos(yaw), np.sin(yaw)])
    edge = at(height, xy - along * length * np.cos(pitch) / 2)
    fall = max(edge - at(height, xy + along * length / 2), 0.0)
    thick = (length * np.sin(pitch) + fall + 0.3) * np.cos(pitch)
    turn = turned(yaw, pitch)
    top = np.array([*xy, edge - SUNK_M + length * np.sin(pitch) / 2])
    return [Box(top - turn[:, 2] * thick / 2, np.array([length, width, thick]) / 2, turn)]


def _stump(height: Height, xy: Floats, rng: Rng) -> list[Solid]:
    radius, tall = rng.uniform((0.25, 0.4), (0.5, 2.2))
    middle = np.array([*xy, at(height, xy) + (tall - 0.3) / 2])
    return [Cylinder(middle, radius, (tall + 0.3) / 2)]


def _column(height: Height, xy: Floats, rng: Rng) -> list[Solid]:
    """A fallen one, along the ground."""
    radius, length, yaw = rng.uniform((0.25, 1.5, 0.0), (0.45, 4.5, 2 * np.pi))
    along = np.array([np.cos(yaw), np.sin(yaw)])
    ends = at(height, xy - along * length / 2), at(height, xy + along * length / 2)
    lowest = min(at(height, xy), sum(ends) / 2)
    pitch = np.arctan2(ends[1] - ends[0], length)
    return [Cylinder(np.array([*xy, lowest + radius - 2 * SUNK_M]), radius, length / 2, turned(yaw, pitch - np.pi / 2))]


def _heap(height: Height, xy: Floats, rng: Rng) -> list[Solid]:
    """A mound with stones all over."""
    mound = Ellipsoid(np.array([*xy, at(height, xy) - 0.1]), rng.uniform((0.7, 0.7, 0.3), (1.6, 1.6, 0.8)))
    stones: list[Solid] = [mound]
    for _ in range(rng.integers(12, 30)):
        share, angle = np.sqrt(rng.uniform(0.0, 1.3)), rng.uniform(0.0, 2 * np.pi)
        there = xy + mound.half[:2] * share * (np.cos(angle), np.sin(angle))
        top = mound.centre[2] + mound.half[2] * np.sqrt(max(1.0 - share**2, 0.0))
        half = rng.uniform(0.08, 0.3, 3)
        sunk = max(at(height, there), top) + 0.3 * half.min()
        stones.append(Box(np.array([*there, sunk]), half, turned(*rng.uniform(-np.pi, np.pi, 3))))
    return stones


PIECES: tuple[Callable[[Height, Floats, Rng], list[Solid]], ...] = (_wall, _block, _slab, _stump, _column, _heap)
SHARES = (0.2, 0.25, 0.15, 0.1, 0.15, 0.15)
