"""Made scenes: points lie where they are said to, evenly by area; nothing floats, nothing is inside anything."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, ndimage

from espalier.core.errors import ConfigError
from espalier.core.seed import np_rng
from espalier.robots.terrain.scenes import road as roads
from espalier.robots.terrain.scenes import sample
from espalier.robots.terrain.scenes.config import Kind, SceneConfig
from espalier.robots.terrain.scenes.floorplan import CLEAR_M, WALL_M, floor_plan
from espalier.robots.terrain.scenes.forest import GAP_M
from espalier.robots.terrain.scenes.hills import fractal
from espalier.robots.terrain.scenes.parts import Parts
from espalier.robots.terrain.scenes.place import scattered, upright
from espalier.robots.terrain.scenes.rooms import rooms
from espalier.robots.terrain.scenes.scene import KINDS, make_scene
from espalier.robots.terrain.scenes.shapes import Box, Cylinder, Ellipsoid, Solid, turned
from espalier.robots.terrain.scenes.surfaces import Surface, plane, ramp, sphere_cap, step

EVERY: tuple[Kind, ...] = ("hills", "forest", "ruin", "road", "rooms")
SMALL = {"size_m": 20.0, "density_per_m2": 40.0}
SURFACES = {"plane": plane(), "ramp": ramp(), "sphere_cap": sphere_cap(), "step": step()}


def parts(kind: Kind, seed: int = 0, **chosen: Any) -> Parts:
    config = SceneConfig(kind=kind, seed=seed, **{**SMALL, **chosen})
    return KINDS[kind](config, np_rng(seed, "scene", kind))


def level(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.zeros(np.broadcast(x, y).shape)


# Scenes


@pytest.mark.parametrize("kind", EVERY)
def test_a_scene_is_what_its_seed_makes_it(kind: Kind) -> None:
    first, again, other = (make_scene(SceneConfig(kind=kind, seed=seed, **SMALL)) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first.cloud.points, again.cloud.points)
    assert first.cloud.points.shape != other.cloud.points.shape or (first.cloud.points != other.cloud.points).any()
    x, y = np_rng(0).uniform(-10, 10, (2, 500))
    denser = make_scene(SceneConfig(kind=kind, seed=3, **{**SMALL, "density_per_m2": 90.0}))
    np.testing.assert_array_equal(denser.height(x, y), first.height(x, y))
    assert len(denser.cloud) == pytest.approx(len(first.cloud) * 90 / 40, rel=0.03)


@pytest.mark.parametrize("kind", EVERY)
def test_ground_points_lie_on_the_ground_without_holes(kind: Kind) -> None:
    scene = make_scene(SceneConfig(kind=kind, size_m=20.0, density_per_m2=100.0))
    points, ground = scene.cloud.points, scene.cloud.fields["solid"] == 0
    assert np.isfinite(points).all()
    assert np.abs(points[:, :2]).max() <= 10.0
    x, y, z = points[ground].T
    off = z - scene.height(x, y)
    steps = {"road": 0.15, "rooms": 0.03}.get(kind, 0.0)
    assert np.abs(off).max() <= steps + 1e-9
    assert (off == 0).mean() > 0.98
    cells = np.zeros((100, 100), bool)
    cells[tuple(np.floor((points[:, :2] + 10.0) / 0.2).astype(int).clip(0, 99).T)] = True
    assert cells.mean() > 0.999


@pytest.mark.parametrize("kind", EVERY)
def test_nothing_is_seen_that_is_inside(kind: Kind) -> None:
    made = parts(kind, overhangs=True)
    cloud = made.cloud(20.0, 40.0, np_rng(1), "")
    points, owners = cloud.points, cloud.fields["solid"].astype(int) - 1
    assert set(owners) <= set(range(-1, len(made.solids)))
    assert -1 in owners
    of_solids = points[owners >= 0]
    assert (of_solids[:, 2] >= made.height(of_solids[:, 0], of_solids[:, 1])).all()
    for number, solid in enumerate(made.solids):
        assert not solid.contains(points[owners != number]).any()


@pytest.mark.parametrize("kind", ["forest", "ruin", "road", "rooms"])
@pytest.mark.parametrize("seed", [0, 1])
def test_nothing_floats_and_nothing_leaves_the_square(kind: Kind, seed: int) -> None:
    """Every solid reaches into the ground or into another."""
    made = parts(kind, seed, overhangs=True, obstacles_per_100_m2=8.0)
    surfaces = [solid.surface(200.0, np_rng(0)) for solid in made.solids]
    assert len(surfaces) >= 10
    for number, (solid, points) in enumerate(zip(made.solids, surfaces, strict=True)):
        assert max(np.abs(bound[:2]).max() for bound in solid.bounds) <= 10.0 + 1e-9
        sunk = bool((points[:, 2] < made.height(points[:, 0], points[:, 1])).any())
        others = [k for k in range(len(surfaces)) if k != number]
        assert sunk or any(made.solids[k].contains(points).any() or solid.contains(surfaces[k]).any() for k in others)


def test_the_five_have_their_size_by_default() -> None:
    cloud = make_scene(SceneConfig()).cloud
    assert len(cloud) > 250_000
    assert cloud.source == "hills 0"
    np.testing.assert_allclose([*cloud.low[:2], *cloud.high[:2]], [-25, -25, 25, 25], atol=0.1)


@pytest.mark.parametrize(
    ("chosen", "message"),
    [
        ({"kind": "rooms", "relief_m": 1.0}, "relief_m: the floor of rooms is level"),
        ({"kind": "hills", "obstacles_per_100_m2": 1.0}, "obstacles_per_100_m2: hills have none"),
        ({"kind": "hill"}, "did you mean 'hills'"),
        ({"size_m": 5.0}, "'size_m' must be greater than or equal to 10"),
    ],
)
def test_scenes_that_cannot_be(chosen: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        SceneConfig.of(**chosen)


def test_numbers_not_given_are_those_usual_for_the_kind() -> None:
    assert (SceneConfig(kind="forest").relief, SceneConfig(kind="forest").obstacles) == (3.0, 100)
    assert SceneConfig(kind="forest", relief_m=0.0, obstacles_per_100_m2=0.0).relief == 0.0
    assert (SceneConfig().obstacles, SceneConfig(kind="rooms").relief) == (0, 0.0)
    assert not make_scene(SceneConfig(kind="forest", relief_m=0.0, **SMALL)).height(np.ones(3), np.ones(3)).any()


# The kinds


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 2**31), relief=st.floats(0.1, 30.0))
def test_hills_have_their_relief_unless_they_would_be_too_steep(seed: int, relief: float) -> None:
    height = fractal(20.0, relief, np_rng(seed))
    side = np.linspace(-10.0, 10.0, 161)
    x, y = (values.ravel() for values in np.meshgrid(side, side))
    steepest = sample.slope(height, np.stack([x, y], 1)).max()
    assert steepest <= np.tan(np.radians(35.1))
    as_asked = np.ptp(height(x, y)) == pytest.approx(relief, rel=0.005)
    assert as_asked or steepest > np.tan(np.radians(34.0))


def test_trees_stand_upright_and_apart() -> None:
    made = parts("forest", overhangs=False)
    assert len(made.solids) == 16
    bases = np.array([solid.centre[:2] for solid in made.solids if isinstance(solid, Cylinder)])
    apart = np.linalg.norm(bases[:, None] - bases, axis=-1) + 99 * np.eye(len(bases))
    assert apart.min() >= GAP_M + 0.2
    for solid in made.solids:
        assert isinstance(solid, Cylinder)
        np.testing.assert_array_equal(solid.turn, np.eye(3))
        above = solid.bounds[1][2] - made.height(solid.centre[:1], solid.centre[1:2])[0]
        assert 4.5 <= above <= 8.0


def test_crowns_are_out_of_reach_and_change_nothing_else() -> None:
    bare, crowned = parts("forest", 2), parts("forest", 2, overhangs=True)
    trunks = [solid.bounds for solid in crowned.solids if isinstance(solid, Cylinder)]
    np.testing.assert_array_equal(trunks, [solid.bounds for solid in bare.solids])
    for crown in crowned.solids:
        if isinstance(crown, Ellipsoid):
            x, y, z = crown.surface(100.0, np_rng(0)).T
            assert (z - crowned.height(x, y)).min() > 2.0


def course() -> roads.Course:
    return roads.Course(0.0, 0.0, 0.0, 0.0, 5.0, level)


def test_a_road_across() -> None:
    """A straight and level one: crown, gutters, kerbs, pavements, fields, ditch."""
    off = np.array([0.0, 3.25 - 1e-9, 3.25, 4.25, -3.25 + 1e-9, -3.25, -7.1, 20.0])
    z = course().height(np.zeros(8), off)
    gutter = -0.025 * 3.25
    expected = [0.0, gutter, gutter + 0.15, gutter + 0.15 + 0.025, gutter, gutter + 0.12, 0.12 - 0.6, 0.15]
    np.testing.assert_allclose(z, expected, atol=1e-7)


def test_kerbs_are_lowered_at_the_crossing() -> None:
    x = np.array([5.0, 7.0, 7.5, 8.0])
    kerb = course().height(x, np.full(4, 3.25)) - course().height(x, np.full(4, 3.25 - 1e-9))
    np.testing.assert_allclose(kerb, 0.15 * np.array([0.15, 0.15, 1 - 0.85 / 2, 1.0]), atol=1e-7)
    face = course().kerb(1, 20.0, 400.0, np_rng(0))
    assert (face[:, 1] == 3.25).all()
    up = face[:, 2] + 0.025 * 3.25
    assert up.min() >= 0
    assert up.max() == pytest.approx(0.15, abs=0.01)
    crossing = np.abs(face[:, 0] - 5.0) < 2.0
    assert 0 < up[crossing].max() < 0.0225 + 1e-6
    assert len(face) == pytest.approx(400 * 0.15 * (20 - 5 * 0.85), rel=0.1)


def test_cars_stand_on_the_road_and_bins_on_the_pavement() -> None:
    made = parts("road", size_m=50.0)
    bodies = [solid for solid in made.solids if isinstance(solid, Box) and solid.half[0] == 2.1]
    bins = [solid for solid in made.solids if isinstance(solid, Box) and solid.half[0] == 0.35]
    assert (len(bodies), len(bins)) == (8, 4)
    for solid in (*bodies, *bins):
        share = sample.rectangle(2.0, 2.0, 100.0, np_rng(0)) - 1.0
        x, y = (solid.centre[:2] + share * solid.half[:2] @ solid.turn[:2, :2].T).T
        under = made.height(x, y)
        assert solid.bounds[0][2] < under.min()
        assert np.ptp(under) < 0.12  # none stands across a kerb


@pytest.mark.parametrize("seed", range(6))
def test_a_floor_is_divided_without_gaps_or_overlaps(seed: int) -> None:
    plan = floor_plan(24.0, np_rng(seed))
    everything = [*plan.rooms, *plan.walls, *(door.place for door in plan.doors)]
    assert sum((r.x1 - r.x0) * (r.y1 - r.y0) for r in everything) == pytest.approx(24.0**2)
    shrunk = [r.grown(-1e-9, -1e-9) for r in everything]
    for number, one in enumerate(shrunk):
        assert not any(one.meets(other) for other in shrunk[:number])
    assert all(min(r.x1 - r.x0, r.y1 - r.y0) >= 3.0 for r in plan.rooms)
    assert len(plan.doors) == len(plan.rooms) - 1
    for door in plan.doors:
        before = door.place.grown(CLEAR_M, -1e-9) if door.along_y else door.place.grown(-1e-9, CLEAR_M)
        assert not any(before.meets(wall) for wall in plan.walls)
        sides = door.place.x1 - door.place.x0, door.place.y1 - door.place.y0
        assert min(sides) == pytest.approx(WALL_M)
        assert 0.9 <= max(sides) <= 1.2
        assert 0.02 <= door.sill_m <= 0.03


@pytest.mark.parametrize("seed", range(4))
def test_a_robot_reaches_every_room(seed: int) -> None:
    config = SceneConfig(kind="rooms", seed=seed, size_m=24.0, obstacles_per_100_m2=12.0)
    made, plan = rooms(config, np_rng(seed)), floor_plan(24.0, np_rng(seed))
    middles = (np.arange(240) + 0.5) * 0.1 - 12.0
    x, y = np.meshgrid(middles, middles)
    points = np.stack([x.ravel(), y.ravel(), np.full(x.size, 0.2)], 1)
    taken = np.zeros(x.size, bool)
    for solid in made.solids:
        taken |= solid.contains(points)
    regions, _ = ndimage.label(ndimage.distance_transform_edt(~taken.reshape(x.shape)) * 0.1 > 0.35)
    places = [*plan.rooms, *(door.place for door in plan.doors)]
    found = [set(regions[(x > r.x0) & (x < r.x1) & (y > r.y0) & (y < r.y1)]) - {0} for r in places]
    assert set.union(*found) == {1}
    assert all(found)


def test_a_sill_is_a_step_of_the_floor() -> None:
    made, plan = rooms(SceneConfig(kind="rooms", size_m=12.0), np_rng(5)), floor_plan(12.0, np_rng(5))
    door = plan.doors[0]
    x, y = np.array([(door.place.x0 + door.place.x1) / 2]), np.array([(door.place.y0 + door.place.y1) / 2])
    assert made.height(x, y)[0] == door.sill_m
    assert made.height(x + (CLEAR_M if door.along_y else 0), y + (0 if door.along_y else CLEAR_M))[0] == 0.0
    assert 0 < made.faces[:, 2].max() <= 0.03
    lintels = rooms(SceneConfig(kind="rooms", size_m=12.0, overhangs=True), np_rng(5)).solids
    above = np.array([[x[0], y[0], 2.0], [x[0], y[0], 2.3]])
    assert [any(solid.contains(above)[k] for solid in lintels) for k in range(2)] == [False, True]
    assert not any(solid.contains(above).any() for solid in made.solids)


# Sampling and shapes


@settings(max_examples=60, deadline=None)
@given(width=st.floats(0.01, 8.0), height=st.floats(0.01, 8.0), density=st.floats(20.0, 400.0))
def test_rectangles_are_sampled_by_area(width: float, height: float, density: float) -> None:
    expected = width * height * density
    counts = []
    for seed in range(20):
        points = sample.rectangle(width, height, density, np_rng(seed))
        assert (points >= 0).all()
        assert (points <= (width, height)).all()
        counts.append(len(points))
    assert abs(np.mean(counts) - expected) <= 5 * np.sqrt(max(expected, 1.0) / 20)


def test_ground_is_sampled_by_the_area_of_its_slope() -> None:
    steep = plane(0.75, 0.0)
    points = sample.ground(steep.height, 20.0, 50.0, np_rng(0))
    assert len(points) == pytest.approx(20**2 * 50 * 1.25, rel=0.01)
    np.testing.assert_array_equal(points[:, 2], 0.75 * points[:, 0])


AREAS = {
    "box": (Box(np.array([1.0, -2.0, 0.5]), np.array([0.5, 1.0, 0.25]), turned(0.3, 0.4, 0.5)), 7.0),
    "cylinder": (Cylinder(np.array([1.0, 1.0, 3.0]), 0.4, 1.5, turned(1.0, -0.7)), 2 * np.pi * 0.4 * (3.0 + 0.4)),
    "sphere": (Ellipsoid(np.zeros(3), np.full(3, 1.5)), 4 * np.pi * 1.5**2),
    "spheroid": (Ellipsoid(np.ones(3), np.array([1.0, 1.0, 2.0])), 21.4784),
}


@pytest.mark.parametrize("name", AREAS)
def test_the_surface_of_a_solid(name: str) -> None:
    """Its points are as many as its area says, on the border of its inside, and fill its bounds."""
    solid: Solid = AREAS[name][0]
    points = solid.surface(200.0, np_rng(0))
    assert len(points) == pytest.approx(200 * AREAS[name][1], rel=0.02)
    low, high = solid.bounds
    middle = (low + high) / 2
    assert solid.contains(points).all()
    assert solid.contains(middle + 0.999 * (points - middle)).all()
    assert not solid.contains(middle + 1.001 * (points - middle)).any()
    assert np.abs(np.concatenate([points.min(0) - low, points.max(0) - high])).max() < 0.15


def test_an_ellipsoid_is_sampled_evenly() -> None:
    """Of a long one, the share of the points near the ends is that of the area."""
    half = np.array([1.0, 1.0, 4.0])
    z = Ellipsoid(np.zeros(3), half).surface(500.0, np_rng(0))[:, 2]

    def ring(at: float) -> float:
        return 2 * np.pi * np.sqrt(1 - (at / 4) ** 2 + at**2 / 256)

    ends, _ = integrate.quad(ring, 3.0, 4.0)
    whole, _ = integrate.quad(ring, 0.0, 4.0)
    assert (np.abs(z) > 3.0).mean() == pytest.approx(ends / whole, rel=0.04)


def test_a_turn_is_roll_then_pitch_then_yaw() -> None:
    np.testing.assert_allclose(turned(yaw=np.pi / 2) @ [1, 0, 0], [0, 1, 0], atol=1e-12)
    np.testing.assert_allclose(turned(pitch=0.3) @ [1, 0, 0], [np.cos(0.3), 0, np.sin(0.3)])
    np.testing.assert_allclose(turned(roll=np.pi / 2) @ [0, 1, 0], [0, 0, 1], atol=1e-12)
    turn = turned(0.7, -0.4, 2.0)
    np.testing.assert_allclose(turn @ turn.T, np.eye(3), atol=1e-12)
    assert np.linalg.det(turn) == pytest.approx(1.0)


def test_where_two_boxes_touch_there_is_no_surface() -> None:
    left, right = Box.between((-2, -1, -1), (0, 1, 1)), Box.between((0, -1, -1), (2, 1, 1))
    cloud = Parts(level, [left, right]).cloud(10.0, 100.0, np_rng(0), "")
    assert not (np.abs(cloud.points[:, 0]) < 1e-6).any()
    assert (cloud.points[:, 2] >= 0).all()
    inside = (np.abs(cloud.points[:, :2]) < (2, 1)).all(1)
    assert (cloud.points[inside, 2] == 1.0).all()
    assert inside.sum() == pytest.approx(800, rel=0.05)


def test_discs_that_find_no_room_are_left_out() -> None:
    middles, radii = scattered(np.full(100, 1.0), 8.0, 0.5, np_rng(0))
    assert 3 <= len(middles) == len(radii) <= 10
    apart = np.linalg.norm(middles[:, None] - middles, axis=-1) + 99 * np.eye(len(middles))
    assert apart.min() >= 2.5
    assert np.abs(middles).max() <= 3.0


def test_an_upright_box_is_sunk_in_and_keeps_its_height() -> None:
    slope = plane(0.5, 0.0)
    box = upright(slope.height, np.array([1.0, 2.0]), (2.0, 1.0, 0.7), 0.0)
    low, high = box.bounds
    np.testing.assert_allclose(low, [0.0, 1.5, -0.05])
    np.testing.assert_allclose(high, [2.0, 2.5, 1.0 + 0.7])


# Surfaces


def test_surfaces_by_hand() -> None:
    x, y = np.array([-3.0, 0.0, 1.0, 3.0]), np.zeros(4)
    np.testing.assert_allclose(plane(0.2, -0.1, 1.0).height(x, y + 2), 0.8 + 0.2 * x)
    np.testing.assert_allclose(ramp(0.4, 4.0).height(x, y), [0.0, 0.8, 1.2, 1.6])
    np.testing.assert_allclose(ramp(0.4, 4.0).slope(x, y), [0.0, 0.4, 0.4, 0.0])
    np.testing.assert_allclose(sphere_cap(5.0, 1.0).height(x, y), [0.0, 1.0, np.sqrt(24) - 4, 0.0], atol=1e-12)
    np.testing.assert_allclose(sphere_cap(5.0, 1.0).gradient(x, y)[2], [-1 / np.sqrt(24), 0.0])
    np.testing.assert_allclose(step(0.15).height(x, y), [0.0, 0.15, 0.15, 0.15])


@pytest.mark.parametrize("name", SURFACES)
@settings(max_examples=60, deadline=None)
@given(x=st.floats(-5, 5), y=st.floats(-5, 5))
def test_gradients_are_those_of_the_heights(name: str, x: float, y: float) -> None:
    surface, small = SURFACES[name], 1e-6
    at, edge = (np.array(x), np.array(y)), np.hypot(x, y) if name == "sphere_cap" else abs(x)
    if abs(edge - {"plane": -1.0, "ramp": 2.0, "sphere_cap": 3.0, "step": 0.0}[name]) < 0.01:
        return  # an edge
    to_x = (surface.height(at[0] + small, at[1]) - surface.height(at[0] - small, at[1])) / (2 * small)
    to_y = (surface.height(at[0], at[1] + small) - surface.height(at[0], at[1] - small)) / (2 * small)
    np.testing.assert_allclose(surface.gradient(*at), [to_x, to_y], atol=1e-6)
    assert surface.gradient(np.zeros((2, 3)), np.ones((2, 3))).shape == (2, 3, 2)


@pytest.mark.parametrize("surface", SURFACES.values(), ids=SURFACES)
def test_samples_of_a_surface_have_its_noise(surface: Surface) -> None:
    x, y, z = surface.sample(20_000, size_m=8.0, noise_m=0.02, seed=1).points.T
    noise = z - surface.height(x, y)
    assert noise.std() == pytest.approx(0.02, rel=0.03)
    assert abs(noise.mean()) < 6e-4
    assert np.abs([x, y]).max() <= 4.0
    assert (x > 2.0).mean() == pytest.approx(0.25, abs=0.02)
    exact = surface.sample(100, seed=1).points
    np.testing.assert_array_equal(exact[:, 2], surface.height(exact[:, 0], exact[:, 1]))
