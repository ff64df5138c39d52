"""The world that a configuration asks for."""

from __future__ import annotations

from espalier.robots.swarm.world.config import (
    CloudConfig,
    CorridorConfig,
    FloorPlanConfig,
    ForestConfig,
    GapConfig,
    OpenConfig,
    WorldConfig,
)
from espalier.robots.swarm.world.forest import forest
from espalier.robots.swarm.world.loaders import world_of_cloud, world_of_plan
from espalier.robots.swarm.world.walls import corridor, narrow_gap, open_field
from espalier.robots.swarm.world.world import World


def make_world(config: WorldConfig) -> World:
    """Made or loaded. Raises ConfigError for what has no room, DataError for a file that cannot be read."""
    match config:
        case OpenConfig():
            return open_field(config)
        case ForestConfig():
            return forest(config)
        case GapConfig():
            return narrow_gap(config)
        case CorridorConfig():
            return corridor(config)
        case CloudConfig():
            return world_of_cloud(config)
        case FloorPlanConfig():
            return world_of_plan(config)
