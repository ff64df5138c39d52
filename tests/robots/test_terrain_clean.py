"""Points that show no surface: what is dropped, what is kept, and what the map is worth then."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from espalier.core.data import DataRoot
from espalier.robots import terrain
from espalier.robots.terrain.clean.core import ENOUGH, EXPECTED, together
from espalier.robots.terrain.clean.lone import detached, intensity
from espalier.robots.terrain.clean.survey import CLUTTER, LONE, survey
from espalier.robots.terrain.cloud.lidar import LidarConfig
from espalier.robots.terrain.compare.outliers import coverage, judge_outliers, with_clutter
from espalier.robots.terrain.compare.protocol import circle, scans_of
from espalier.robots.terrain.features.covariance import thinnest
from espalier.robots.terrain.scenes.config import Kind, SceneConfig
from espalier.robots.terrain.scenes.scene import make_scene

Floats = np.ndarray


def scene(kind: Kind, size_m: float = 10.0, density: float = 150.0, seed: int = 11) -> Floats:
    return make_scene(SceneConfig(kind=kind, size_m=size_m, density_per_m2=density, seed=seed)).cloud.points


def flat(n: int = 20_000, half: float = 5.0, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).uniform(-half, half, (n, 3)) * (1, 1, 0.004)


@pytest.mark.parametrize("kind", ["hills", "forest", "ruin", "road"])
@pytest.mark.parametrize(("share", "below_m", "above_m"), [(0.3, 0.0, 0.0), (0.3, 4.0, 6.0), (0.1, 0.0, 0.0)])
def test_the_ground_is_found_among_outliers(kind: Kind, share: float, below_m: float, above_m: float) -> None:
    found = judge_outliers(scene(kind), share, below_m=below_m, above_m=above_m, seed=1, cell_m=0.2)
    assert found.lost <= 0.01
    assert found.error_m <= 0.1
    assert found.falsely_lethal <= 0.05
    assert found.warnings == ()


@pytest.mark.data
@pytest.mark.parametrize("name", ["forest", "desert", "vocano"])
def test_the_ground_is_found_in_real_clouds(name: str) -> None:
    points = terrain.load(DataRoot.find().file(f"terrain/{name}.pcd")).points
    found = judge_outliers(points, 0.3, seed=2, cell_m=0.2)
    assert found.lost <= 0.01
    assert found.error_m <= 0.1
    assert found.falsely_lethal <= 0.05
    assert survey(points, 20).kept.size >= 0.99 * len(points)


@pytest.mark.parametrize("kind", ["hills", "forest", "ruin", "road", "rooms"])
def test_clean_clouds_and_clean_scans_keep_their_points(kind: Kind) -> None:
    """Trees, walls and overhangs; and scans, whose far points are sparse."""
    over = kind in ("forest", "rooms")
    points = make_scene(SceneConfig(kind=kind, size_m=12.0, overhangs=over, seed=3)).cloud.points
    assert survey(points, 20).kept.size >= 0.999 * len(points)
    for scan in scans_of(points, LidarConfig(), circle(points, 3, 0.6), 0):
        assert survey(scan.points, 20).kept.size >= 0.99 * len(scan.points)


def test_a_map_that_cannot_be_believed_says_so() -> None:
    points = scene("hills")
    assert terrain.build(points, 0.2).warnings == ()
    kept = terrain.build(with_clutter(points, 0.3, 0), 0.2, drop_outliers=False)
    assert [warning.partition("% of the cells")[1] for warning in kept.warnings] == ["% of the cells"]
    (said, *_) = terrain.build(with_clutter(points, 0.8, 0), 0.2).warnings
    assert "% of the points are clutter spread through the air, by estimate" in said


def test_the_intensity_of_clutter_is_found_whatever_else_there_is() -> None:
    for kind in ("hills", "rooms"):
        points = scene(kind)
        assert intensity(points) < 0.01
        for share in (0.05, 0.3, 0.5):
            dirty = with_clutter(points, share, 0)
            right = (len(dirty) - len(points)) / np.ptp(points, axis=0).prod()
            assert intensity(dirty) == pytest.approx(right, rel=0.15)


@given(st.integers(0, 200), st.floats(0.5, 30.0))
@settings(max_examples=40, deadline=None)
def test_points_that_stand_together_are_the_core_of_the_graph(seed: int, dense: float) -> None:
    rng = np.random.default_rng(seed)
    points = np.concatenate([rng.uniform(0, 3, (150, 3)), rng.uniform(0, 3, (150, 3)) * (1, 1, 0.01)])
    radius = (EXPECTED / (4 / 3 * np.pi * dense)) ** (1 / 3)
    kept = set(range(len(points)))
    around = [set(found) for found in cKDTree(points).query_ball_point(points, radius)]
    for _ in range(len(points)):
        lone = {i for i in kept if len(around[i] & kept) - 1 < ENOUGH}
        if not lone:
            break
        kept -= lone
    assert np.flatnonzero(together(points, dense)).tolist() == sorted(kept)


@given(st.integers(0, 500))
@settings(max_examples=50, deadline=None)
def test_the_thinnest_direction_is_that_of_lapack(seed: int) -> None:
    rng = np.random.default_rng(seed)
    c = np.cov(rng.normal(size=(3, 12)) * rng.uniform(0.01, 1.0, (3, 1)))
    least, direction = thinnest((c[0, 0], c[1, 1], c[2, 2], c[0, 1], c[0, 2], c[1, 2]))
    values, vectors = np.linalg.eigh(c)
    assert least == pytest.approx(values[0], rel=1e-6, abs=1e-12)
    assert abs(np.dot(direction, vectors[:, 0])) == pytest.approx(1.0, abs=1e-6)


def test_a_few_points_far_above_or_below_are_dropped() -> None:
    noise = np.array([[0, 0, -1000], [1, 1, -30], [1.1, 1, -31], [3, 3, 50], [2, 1, 3], [-2, 1, 1.5], [-3, -3, -1]])
    found = terrain.build(np.concatenate([flat(), noise]))
    assert found.dropped[LONE] == len(noise)
    assert found.dropped.get(CLUTTER, 0) <= 0.005 * 20_000
    assert np.nanmax(np.abs(found["elevation"])) < 0.1
    update = terrain.TraversabilityMapper().update(
        np.concatenate([flat(3000, 2.9), [[0.5, 0.5, -9.0]]]), (0, 0, 0.6, 0)
    )
    assert update.dropped[LONE] == 1
    assert update.map["elevation"].min() > 0.5


def test_sparse_ground_far_away_is_no_noise() -> None:
    far = np.random.default_rng(1).uniform(10, 40, (60, 3)) * (1, 1, 0.0)
    points = np.concatenate([flat(4000), far])
    assert not detached(points)[4000:].any()


def test_beams_that_did_not_return_are_dropped() -> None:
    ground = flat(1200, 2.0) - (0.0, 0.0, 0.6)
    points = np.concatenate([ground, np.zeros((150, 3))])
    whole = terrain.build(points)
    assert (whole.dropped["no return"], bool(np.nanmax(whole["elevation"]) < -0.5)) == (150, True)
    jitter = np.random.default_rng(0).normal(0, 1e-3, (150, 3))
    for returns in (np.zeros((150, 3)), jitter):
        update = terrain.TraversabilityMapper().update(np.concatenate([ground, returns]), (4.0, 2.0, 0.6, 1.0))
        assert update.dropped["no return"] == 150
        assert np.nanmax(update.map["elevation"]) < 0.1
    moved = terrain.build(points + np.array([3.0, 2.0, 5.0]))
    assert moved.dropped["no return"] == 150, "in the world they lie at one place, again and again"
    twice = np.repeat(np.concatenate([ground, np.zeros((1, 3))]), 2, axis=0)
    assert "no return" not in terrain.build(twice, drop_outliers=False).dropped


def test_nothing_is_dropped_where_that_is_off() -> None:
    points = np.concatenate([flat(), [[0.0, 0.0, 40.0]]])
    assert terrain.build(points, drop_outliers=False).dropped == {"not finite": 0}
    assert terrain.build(points).dropped == {"not finite": 0, LONE: 1}


@pytest.mark.parametrize("kind", ["hills", "forest", "ruin", "road", "rooms"])
@pytest.mark.parametrize(("noise_m", "cell_m"), [(0.02, 0.2), (0.0, 0.3)])
def test_the_band_of_a_whole_cloud_holds_points_that_it_was_not_made_of(
    kind: Kind, noise_m: float, cell_m: float
) -> None:
    assert 0.85 <= coverage(scene(kind), noise_m=noise_m, cell_m=cell_m) <= 0.955


def test_a_later_scan_sees_through_what_is_not_there() -> None:
    """A clump hangs in the air for one scan; the next one, which has no point there, sees the ground behind."""
    near = flat(6000, 2.9)
    hidden = (np.abs(near[:, :2] - (1.2, 0.0)) < 0.5).all(1)
    clump = np.random.default_rng(0).uniform((1.0, -0.2, 0.8), (1.4, 0.2, 1.2), (300, 3))
    mapper, pose = terrain.TraversabilityMapper(), (0.0, 0.0, 0.6, 0.0)
    sensor = np.array([0.0, 0.0, 0.6])
    mapper.update(np.concatenate([near[~hidden], clump]) - sensor, pose, 0.0)
    assert mapper.map().at(1.2, 0.0)["elevation"] > 0.5
    update = mapper.update(near[~hidden] - sensor, pose, 0.1)
    assert 1 <= update.cleared <= 30
    assert not mapper.map().at(1.2, 0.0)["elevation"] > 0.3
    blind = terrain.TraversabilityMapper(terrain.MapperConfig(drop_outliers=False))
    blind.update(np.concatenate([near[~hidden], clump]) - sensor, pose, 0.0)
    assert blind.update(near[~hidden] - sensor, pose, 0.1).cleared == 0


def test_what_stands_and_is_hit_is_not_seen_through() -> None:
    points = make_scene(SceneConfig(kind="ruin", size_m=12.0, density_per_m2=400.0, seed=2)).cloud.points
    mapper = terrain.TraversabilityMapper()
    cleared = [mapper.add(scan).cleared for scan in scans_of(points, LidarConfig(), circle(points, 12, 0.6), 0)]
    assert sum(cleared) <= 0.01 * 12 * 625


def fan() -> Floats:
    """A lidar that does not turn: 16 beams to both sides, at random ranges."""
    rng = np.random.default_rng(0)
    up, away = np.radians(rng.choice(np.linspace(-15, 15, 16), 6000)), rng.uniform(2, 40, 6000)
    return np.stack([away * np.cos(up) * rng.choice([-1, 1], 6000), np.zeros(6000), away * np.sin(up)], 1)


STRAIGHT, NONE = np.linspace(0, 9, 500), np.zeros(500)
ODD = {
    "a line": np.column_stack([STRAIGHT, NONE, NONE]),
    "a post": np.column_stack([NONE, NONE, STRAIGHT]),
    "one place": np.ones((200, 3)),
    "a grid without height": np.stack(np.meshgrid(np.arange(60) * 0.1, np.arange(60) * 0.1, [0.0]), -1).reshape(-1, 3),
    "every point thrice": np.repeat(flat(3000, 3.0), 3, axis=0),
    "a tenth of a metre": np.round(flat(30_000, 3.0), 1),
    "far up and down": np.concatenate([flat(3000, 3.0), [[0, 0, 1e11], [0, 1, -1e11]]]),
    "a wall": np.random.default_rng(0).uniform(-3, 3, (3000, 3)) * (1, 0.001, 1),
    "a steep slope": flat(5000, 3.0) @ np.array([[1, 0, 1.2], [0, 1, 0], [0, 0, 1.0]]),
    "two floors": np.concatenate([flat(3000, 3.0), flat(3000, 3.0) + np.array([0.0, 0.0, 3.0])]),
    "eastings": flat(3000, 3.0) + np.array([691_234.0, 5_334_567.0, 500.0]),
    "few": flat(50, 3.0),
    "a fan of beams in one plane": fan(),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_clouds_that_are_clean_keep_their_points(name: str) -> None:
    points = ODD[name]
    lost = len(points) - len(survey(points, 20).kept)
    assert lost == 2 if name == "far up and down" else lost <= 0.01 * len(points)
