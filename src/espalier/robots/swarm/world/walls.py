"""Worlds of walls: an open field, which has none, a gap, a corridor with a turn."""

from __future__ import annotations

from espalier.robots.swarm.world.config import CorridorConfig, GapConfig, OpenConfig
from espalier.robots.swarm.world.shapes import Box
from espalier.robots.swarm.world.world import World


def open_field(config: OpenConfig) -> World:
    """Nothing in the way."""
    x, y = config.length_m / 2 + config.approach_m, config.width_m / 2
    return World.of_solids((), (-x, -y, 0.0), (x, y, config.height_m), config.cell_m)


def narrow_gap(config: GapConfig) -> World:
    """A wall across x = 0 with a gap around y = 0."""
    x, y, top = config.length_m / 2 + config.approach_m, config.width_m / 2, config.height_m
    side, gap = config.wall_m / 2, config.gap_m / 2
    walls = Box((-side, -y, 0.0), (side, -gap, top)), Box((-side, gap, 0.0), (side, y, top))
    return World.of_solids(walls, (-x, -y, 0.0), (x, y, top), config.cell_m)


def corridor(config: CorridorConfig) -> World:
    """Two arms that meet at a right angle: the first leads along x, the second to the left of it, along y.

    The middle lines of the arms meet at x = y = 0. What lies inside of the turn is solid.
    """
    half, wall, top = config.corridor_m / 2, config.wall_m, config.height_m
    begin, room = half - config.length_m, config.approach_m
    walls = (
        Box((begin, -half - wall, 0.0), (half + wall, -half, top)),
        Box((half, -half, 0.0), (half + wall, -begin, top)),
        Box((begin, half, 0.0), (-half, -begin, top)),
    )
    low, high = (begin - room, -half - wall, 0.0), (half + wall, room - begin, top)
    return World.of_solids(walls, low, high, config.cell_m)
