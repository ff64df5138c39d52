"""Scenes of the five classes of terrain that the method was published with, from a seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from espalier.core.seed import np_rng
from espalier.robots.terrain.cloud.cloud import Cloud
from espalier.robots.terrain.scenes.config import Kind, SceneConfig
from espalier.robots.terrain.scenes.forest import forest
from espalier.robots.terrain.scenes.hills import hills
from espalier.robots.terrain.scenes.parts import Parts
from espalier.robots.terrain.scenes.road import road
from espalier.robots.terrain.scenes.rooms import rooms
from espalier.robots.terrain.scenes.ruin import ruin
from espalier.robots.terrain.scenes.sample import Height, Rng

KINDS: Mapping[Kind, Callable[[SceneConfig, Rng], Parts]] = {
    "hills": hills,
    "forest": forest,
    "ruin": ruin,
    "road": road,
    "rooms": rooms,
}


@dataclass(frozen=True)
class Scene:
    """cloud: dense and exact, without noise; its field `solid` is 0 where the point is of the ground. height: of the
    bare ground, from x and y of one shape, below solids as well.
    """

    cloud: Cloud
    height: Height


def make_scene(config: SceneConfig) -> Scene:
    """The same scene for the same settings. The density changes the points only, not what they lie on."""
    parts = KINDS[config.kind](config, np_rng(config.seed, "scene", config.kind))
    points = np_rng(config.seed, "scene", config.kind, "points")
    return Scene(
        parts.cloud(config.size_m, config.density_per_m2, points, f"{config.kind} {config.seed}"), parts.height
    )
