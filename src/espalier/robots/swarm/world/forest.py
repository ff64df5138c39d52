"""A random forest of poles and rings."""

from __future__ import annotations

import numpy as np

from espalier.core.errors import ConfigError
from espalier.core.seed import np_rng
from espalier.robots.swarm.world.config import ForestConfig
from espalier.robots.swarm.world.esdf import Floats
from espalier.robots.swarm.world.shapes import Pole, Ring, Solid
from espalier.robots.swarm.world.world import World

TRIES = 2_000
"""Places tried for each pole and ring."""
ALONG = 24
"""Places along a ring at which it is seen whether there is room."""


def forest(config: ForestConfig) -> World:
    """Poles and rings where there is room, drawn one after the other. Raises ConfigError where too few find room.

    The kind of scene and its measures are the reference's (Swarm-Formation's random forest); how places are drawn is
    ours.
    """
    rng = np_rng(config.seed, "forest")
    poles = _poles(config, rng)
    solids: list[Solid] = [Pole(x, y, config.pole_radius_m, 0.0, config.height_m) for x, y in poles.tolist()]
    solids += _rings(config, poles, rng)
    x, y = config.length_m / 2 + config.approach_m, config.width_m / 2
    return World.of_solids(solids, (-x, -y, 0.0), (x, y, config.height_m), config.cell_m)


def _poles(config: ForestConfig, rng: np.random.Generator) -> Floats:
    """(poles, 2): middles."""
    room = np.array([config.length_m, config.width_m]) / 2 - config.pole_radius_m
    apart = 2 * config.pole_radius_m + config.gap_m
    placed = np.empty((0, 2))
    for _ in range(config.poles):
        for _ in range(TRIES):
            place = rng.uniform(-room, room)
            if (np.hypot(*(placed - place).T) >= apart).all():
                break
        else:
            raise ConfigError(_full("poles", config.poles, len(placed), "gap_m"))
        placed = np.vstack([placed, place])
    return placed


def _rings(config: ForestConfig, poles: Floats, rng: np.random.Generator) -> list[Ring]:
    """Rings seen from above are straight pieces; each keeps clear of poles and of the rings before it."""
    rings: list[Ring] = []
    taken, radii = poles, np.full(len(poles), config.pole_radius_m)
    for _ in range(config.rings):
        radius = float(rng.uniform(*config.ring_radius_m))
        reach = radius + config.tube_m
        room = np.array([config.length_m, config.width_m]) / 2 - reach
        for _ in range(TRIES):
            middle, yaw = rng.uniform(-room, room), float(rng.uniform(0.0, np.pi))
            along = np.linspace(-radius, radius, ALONG)[:, None] * (-np.sin(yaw), np.cos(yaw)) + middle
            near = np.hypot(*(taken - middle).T) - radii < reach + config.ring_gap_m
            away = np.linalg.norm(along[:, None] - taken[near], axis=2) - radii[near]
            if (away >= config.tube_m + config.ring_gap_m).all():
                break
        else:
            raise ConfigError(_full("rings", config.rings, len(rings), "ring_gap_m"))
        height = float(rng.uniform(reach, config.height_m - reach))
        rings.append(Ring((*middle.tolist(), height), radius, config.tube_m, yaw))
        taken, radii = np.vstack([taken, along]), np.concatenate([radii, np.full(ALONG, config.tube_m)])
    return rings


def _full(what: str, wanted: int, placed: int, gap: str) -> str:
    return f"{what}: of {wanted} only {placed} found room; ask for fewer, for a smaller {gap} or for a larger forest"
