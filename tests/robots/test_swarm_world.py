"""Worlds: exact distances by hand, the distance field against them, generated and loaded worlds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from espalier.core.data import DataRoot
from espalier.core.errors import ConfigError, DataError
from espalier.robots.swarm.world.config import (
    CloudConfig,
    CorridorConfig,
    FloorPlanConfig,
    ForestConfig,
    GapConfig,
    OpenConfig,
    WorldConfig,
)
from espalier.robots.swarm.world.esdf import DistanceField, look_up, signed_distance
from espalier.robots.swarm.world.make import make_world
from espalier.robots.swarm.world.shapes import Box, Pole, Ring, Solid
from espalier.robots.swarm.world.world import World
from espalier.robots.terrain.cloud.cloud import Cloud
from espalier.robots.terrain.cloud.load import save_cloud

LOW, HIGH, CELL = (0.0, 0.0, 0.0), (4.0, 4.0, 3.0), 0.1
HALF_DIAGONAL = np.sqrt(3) / 2 * CELL
SEEDS = st.integers(0, 2**32 - 1)


def some_solid(rng: np.random.Generator) -> Solid:
    """Within the grid."""
    x, y, z = rng.uniform((1.25, 1.25, 1.25), (2.75, 2.75, 1.75))
    match rng.integers(3):
        case 0:
            return Pole(x, y, rng.uniform(0.2, 0.8), 0.0, 3.0)
        case 1:
            return Ring((x, y, z), rng.uniform(0.5, 0.9), rng.uniform(0.15, 0.3), rng.uniform(0, np.pi))
        case _:
            return Box((x - 0.6, y - 0.3, z - 1.0), (x + rng.uniform(0.2, 0.6), y + 0.4, z + 0.5))


@pytest.mark.parametrize(
    ("solid", "point", "distance"),
    [
        (Pole(1, 1, 0.5, 0, 2), (3, 1, 1), 1.5),
        (Pole(1, 1, 0.5, 0, 2), (1, 1, 1.8), -0.2),
        (Pole(1, 1, 0.5, 0, 2), (1, 1.4, 1), -0.1),
        (Pole(1, 1, 0.5, 0, 2), (1 + 0.5 + 3, 1, 6), 5.0),
        (Ring((0, 0, 5), 1, 0.1, 0), (0, 0, 5), 0.9),  # its axis is x, the circle lies in y and z
        (Ring((0, 0, 5), 1, 0.1, 0), (0, 1, 5), -0.1),
        (Ring((0, 0, 5), 1, 0.1, np.pi / 2), (0, 1, 5), np.sqrt(2) - 0.1),
        (Ring((0, 0, 5), 1, 0.1, 0), (2, 0, 6), 1.9),
        (Box((0, 0, 0), (2, 1, 1)), (5, 5, 0.5), 5.0),
        (Box((0, 0, 0), (2, 1, 1)), (1, 0.3, 0.5), -0.3),
    ],
)
def test_exact_distances_by_hand(solid: Solid, point: tuple[float, float, float], distance: float) -> None:
    assert solid.distance(np.array([point], float))[0] == pytest.approx(distance)


@given(SEEDS)
def test_no_distance_grows_faster_than_the_way_and_bounds_hold_the_solid(seed: int) -> None:
    rng = np.random.default_rng(seed)
    solid = some_solid(rng)
    one, two = rng.uniform(-1, 5, (2, 400, 3))
    change = np.abs(solid.distance(one) - solid.distance(two))
    assert (change <= np.linalg.norm(one - two, axis=1) + 1e-9).all()
    low, high = solid.bounds
    inside = one[solid.distance(one) < 0.0]
    assert ((inside >= low) & (inside <= high)).all()
    corners = solid.distance(np.stack([low - 1.0, high + 1.0]))
    assert (corners >= 1.0).all()


def test_the_field_by_hand() -> None:
    occupied = np.zeros((7, 2, 2), bool)
    occupied[3:5] = True
    field = signed_distance(occupied, 0.2)
    assert field[:, 0, 0] == pytest.approx([0.5, 0.3, 0.1, -0.1, -0.1, 0.1, 0.3])
    assert (signed_distance(np.zeros((3, 4, 12), bool), 0.2) == np.float32(13 * 0.2)).all()
    assert (signed_distance(np.ones((3, 4, 12), bool), 0.2) < 0.0).all()


@settings(max_examples=40)
@given(SEEDS)
def test_the_field_is_exact_within_half_the_diagonal_of_a_cell(seed: int) -> None:
    """At the middles of cells; between them within a diagonal."""
    rng = np.random.default_rng(seed)
    world = World.of_solids([some_solid(rng)], LOW, HIGH, CELL)
    middles = (np.argwhere(np.ones(world.occupancy.shape)) + 0.5) * CELL
    for points, allowed in ((middles, HALF_DIAGONAL), (rng.uniform(LOW, HIGH, (3000, 3)), 2 * HALF_DIAGONAL)):
        exact = world.distance(points)
        off = np.abs(world.clearance(points) - exact)[exact > 0.0]
        assert off.max() <= allowed + 1e-6


@settings(max_examples=40)
@given(SEEDS)
def test_outside_of_the_grid_the_distance_is_a_lower_bound(seed: int) -> None:
    rng = np.random.default_rng(seed)
    world = World.of_solids([some_solid(rng) for _ in range(3)], LOW, HIGH, CELL)
    points = rng.uniform(-3, 7, (2000, 3))
    points = points[((points < LOW) | (points > HIGH)).any(1)]
    bound = world.clearance(points)
    assert (bound <= world.distance(points) + HALF_DIAGONAL).all()
    inner = np.clip(points, LOW, HIGH)
    beyond = np.linalg.norm(points - inner, axis=1)
    assert (bound >= beyond - HALF_DIAGONAL + np.minimum(world.clearance(inner), 0.0)).all()


def test_between_cells_by_hand() -> None:
    values = np.zeros((2, 2, 2), np.float32)
    values[1] += 4.0
    values[:, 1] += 2.0
    values[1, 1, 1] += 8.0
    field = DistanceField(values, np.array([1.0, 1.0, 1.0]), 2.0)
    distance, slope = look_up(field, np.array([[2.5, 3.0, 3.0]]))  # a quarter, a half and a half of the way
    assert distance[0] == pytest.approx(0.25 * 4 + 0.5 * 2 + 0.25 * 0.5 * 0.5 * 8)
    assert slope[0] == pytest.approx(np.array([4 + 0.25 * 8, 2 + 0.125 * 8, 0.125 * 8]) / 2.0)


@settings(max_examples=50)
@given(SEEDS)
def test_the_gradient_is_that_of_the_distance(seed: int) -> None:
    """By differences, within the grid and outside; not across the sides of cells, where it jumps, nor, outside, where
    the distance of the nearest point inside changes its sign.
    """
    rng = np.random.default_rng(seed)
    field = DistanceField(rng.uniform(-1, 2, (4, 5, 6)).astype(np.float32), rng.uniform(-1, 1, 3), 0.5)
    at = rng.integers(-3, 8, (300, 3)) + rng.uniform(0.01, 0.99, (300, 3))
    points = field.origin + (at + 0.5) * field.cell_m
    step = 1e-5
    slope = look_up(field, points)[1]
    inner = np.clip(points, field.origin + 0.25, field.origin + (np.array(field.values.shape) - 0.5) * 0.5)
    smooth = np.abs(look_up(field, inner)[0]) > 1e-3
    for axis in range(3):
        move = step * np.eye(3)[axis]
        ahead, behind = look_up(field, points + move)[0], look_up(field, points - move)[0]
        np.testing.assert_allclose((ahead - behind)[smooth] / (2 * step), slope[smooth, axis], rtol=1e-4, atol=1e-4)


def test_a_world_without_obstacles_and_one_too_large() -> None:
    world = make_world(OpenConfig(length_m=4, width_m=3, approach_m=1, height_m=2))
    low, high = world.bounds
    assert (low.tolist(), high.tolist()) == ([-3, -1.5, 0], [3, 1.5, 2])
    assert world.clearance(np.zeros((1, 3)))[0] > 6.0
    assert np.isinf(world.distance(np.zeros((1, 3)))[0])
    with pytest.raises(DataError, match="make the world smaller or cell_m larger"):
        World.of_solids([], (0, 0, 0), (1e4, 1e4, 10), 0.1)
    with pytest.raises(DataError, match=r"\(3, 1, 4\) cells is no world"):
        World.of_occupancy(np.zeros((3, 1, 4), bool), np.zeros(3), 0.1)


def test_the_reference_forest() -> None:
    config = ForestConfig()
    world = make_world(config)
    poles = [solid for solid in world.solids if isinstance(solid, Pole)]
    rings = [solid for solid in world.solids if isinstance(solid, Ring)]
    assert (len(poles), len(rings)) == (60, 20)
    places = np.array([(pole.x, pole.y) for pole in poles])
    apart = np.linalg.norm(places[:, None] - places, axis=2)[~np.eye(60, dtype=bool)]
    assert apart.min() >= 2 * 0.5 + 0.8
    assert np.abs(places).max(0) == pytest.approx([17 - 0.5, 7.5 - 0.5], abs=1.0)
    for ring in rings:
        assert 1.0 <= ring.radius_m <= 1.2
        low, high = ring.bounds
        assert (low >= (-17, -7.5, 0)).all()
        assert (high <= (17, 7.5, 3)).all()
        turns = np.linspace(0, 2 * np.pi, 100)
        across = ring.radius_m * np.cos(turns)[:, None] * (-np.sin(ring.yaw), np.cos(ring.yaw), 0.0)
        tube = ring.centre + across + ring.radius_m * np.sin(turns)[:, None] * (0, 0, 1)
        assert min(pole.distance(tube).min() for pole in poles) >= ring.tube_m + 0.2 - 0.01
    again, other = make_world(config), make_world(ForestConfig(seed=2))
    assert again.solids == world.solids
    assert other.solids != world.solids
    assert world.occupancy.shape == (500, 150, 30)


def test_forests_of_other_sizes_and_those_that_have_no_room() -> None:
    config = ForestConfig.sized(34, 15, "dense", cell_m=0.5)
    assert (config.poles, config.rings, config.cell_m) == (60, 20, 0.5)
    assert ForestConfig.sized(50, 20).poles == 80
    with pytest.raises(ConfigError, match=r"poles: of 900 only \d+ found room; ask for fewer"):
        make_world(ForestConfig(poles=900))
    with pytest.raises(ConfigError, match=r"rings: of 400 only \d+ found room; .* smaller ring_gap_m"):
        make_world(ForestConfig(rings=400))
    with pytest.raises(ConfigError, match=r"height_m: rings of 1.3 m outer radius need more than 2"):
        ForestConfig.of(height_m=2)
    with pytest.raises(ConfigError, match="ring_radius_m: the least, 2"):
        ForestConfig.of(ring_radius_m=(2, 1))


def test_a_gap_and_a_corridor() -> None:
    gap = make_world(GapConfig(gap_m=2.0, cell_m=0.25))
    points = np.array([[0, 0, 1.5], [0, 2, 1.5], [-9, 5, 1.5]])
    assert gap.distance(points) == pytest.approx([1.0, -0.25, 8.75])
    assert np.abs(gap.clearance(points) - gap.distance(points)).max() <= 0.22
    corridor = make_world(CorridorConfig(corridor_m=6.0, length_m=20.0, cell_m=0.25))
    line = np.concatenate([np.linspace((-25, 0, 1), (0, 0, 1), 30), np.linspace((0, 0, 1), (0, 25, 1), 30)])
    assert corridor.distance(line).min() == pytest.approx(3.0, abs=1e-6)
    walls = np.array([[-10, 3.2, 1], [-10, -3.2, 1], [3.2, 10, 1], [-3.2, 10, 1], [3.2, -3.2, 1], [-10, 10, 1]])
    assert (corridor.distance(walls) < 0.0).all()
    for config, message in ((GapConfig, "gap_m: 30"), (CorridorConfig, "corridor_m: 30")):
        with pytest.raises(ConfigError, match=message):
            config.of(**{message.split(":")[0]: 30.0})


def test_a_world_from_a_cloud(tmp_path: Path) -> None:
    points = np.array([[0.0, 0.0, 1.0], [0.05, 0.0, 1.0], [2.0, 1.0, 1.5], [1.0, 1.0, -0.4]])
    save_cloud(Cloud(points), tmp_path / "a.ply")
    settings: dict[str, Any] = {"file": tmp_path / "a.ply", "cell_m": 0.25, "margin_m": 1.0}
    world = make_world(CloudConfig(**settings))
    assert world.occupancy.sum() == 3
    assert (world.clearance(points) < 0.16).all()
    assert world.distance(np.array([[1.0, 0.0, 1.0]]))[0] == pytest.approx(1.0, abs=0.25)
    assert make_world(CloudConfig(**settings, ground_m=0.0)).occupancy.sum() == 2
    assert make_world(CloudConfig(**settings, least_points=2)).occupancy.sum() == 1
    for wrong, message in (
        ({"ground_m": 9.0}, r"a.ply: no point lies above ground_m = 9.0"),
        ({"least_points": 5}, r"a.ply: no cell has 5 points; make least_points smaller"),
        ({"cell_m": 1e-4}, r"a.ply spans .* cells of 0.0001 m: make cell_m larger"),
        ({"file": tmp_path / "none.ply"}, r"there is no cloud .*none.ply"),
    ):
        with pytest.raises(DataError, match=message):
            make_world(CloudConfig(**{**settings, **wrong}))


def test_a_world_from_a_floor_plan(tmp_path: Path) -> None:
    from PIL import Image

    shades = np.full((4, 6), 255, np.uint8)
    shades[0, 0] = shades[3, 1:3] = 0  # the upper left corner, and a wall on the lower edge
    Image.fromarray(shades).save(tmp_path / "a.png")
    world = make_world(FloorPlanConfig(file=tmp_path / "a.png", pixel_m=0.5, height_m=2.0))
    assert world.occupancy.shape == (6, 4, 4)
    assert np.argwhere(world.occupancy[:, :, 0]).tolist() == [[0, 3], [1, 0], [2, 0]]
    assert (world.occupancy == world.occupancy[:, :, :1]).all()
    clear = np.zeros((4, 6, 4), np.uint8)
    clear[0, 0, 3] = 255
    Image.fromarray(clear).save(tmp_path / "clear.png")
    assert make_world(FloorPlanConfig(file=tmp_path / "clear.png")).occupancy[:, :, 0].sum() == 1
    (tmp_path / "bad.png").write_text("no picture")
    with pytest.raises(DataError, match=r"bad.png is no picture that can be read"):
        make_world(FloorPlanConfig(file=tmp_path / "bad.png"))
    with pytest.raises(DataError, match=r"there is no picture .*none.png"):
        make_world(FloorPlanConfig(file=tmp_path / "none.png"))
    with pytest.raises(DataError, match=r"a.png: .* are too many"):
        make_world(FloorPlanConfig(file=tmp_path / "a.png", pixel_m=1e-7))


def test_a_recipe_names_the_kind() -> None:
    config = TypeAdapter(WorldConfig).validate_python({"kind": "gap", "gap_m": 3})
    assert config == GapConfig(gap_m=3)


@pytest.mark.data
def test_a_real_forest() -> None:
    world = make_world(CloudConfig(file=DataRoot.find().file("terrain/forest.pcd"), cell_m=0.2))
    low, high = world.bounds
    assert (high - low)[:2] == pytest.approx([16, 16], abs=1.0)
    assert 0.001 < world.occupancy.mean() < 0.2
