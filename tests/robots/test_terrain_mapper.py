"""The mapper: accuracy on surfaces that are known, history that follows the ground, and scans that make no sense."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from espalier.core.errors import DataError
from espalier.robots.terrain.cloud.frames import pose_matrix
from espalier.robots.terrain.config import ClockConfig, FusionConfig, MapperConfig, WindowConfig
from espalier.robots.terrain.estimate import estimate
from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.mapper import TraversabilityMapper
from espalier.robots.terrain.order import Order, Verdict
from espalier.robots.terrain.scenes.surfaces import Surface, plane, ramp, sphere_cap, step

NOISE_M = 0.02


def ground(n: int = 2000, seed: int = 0, half: float = 2.9, z: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    xy = rng.uniform(-half, half, (n, 2))
    return np.column_stack([xy, z + rng.normal(0, 0.005, n)])


def box(points: np.ndarray, x: float, y: float, side: float = 0.6, height: float = 0.5) -> np.ndarray:
    """The points with a box on the ground; its walls are hit as well."""
    inside = (np.abs(points[:, :2] - (x, y)) < side / 2).all(1)
    found = points.copy()
    found[inside, 2] += height
    rng = np.random.default_rng(1)
    walls = np.column_stack([rng.uniform(-side / 2, side / 2, 30), np.full(30, side / 2), rng.uniform(0, height, 30)])
    place = np.array([x, y, 0.0])
    return np.concatenate([found, walls + place, walls * (1, -1, 1) + place])


@pytest.mark.parametrize(
    ("surface", "edges"),
    [
        (plane(0.0, 0.0), ()),
        (plane(0.3, 0.1), ()),
        (ramp(0.3), (-2.0, 2.0)),
        (sphere_cap(6.0, 1.5), ()),
        (step(), (0.0,)),
    ],
)
def test_known_surfaces_within_the_sensor_s_noise(surface: Surface, edges: tuple[float, ...]) -> None:
    """Heights within the noise, slopes within 0.02 away from edges, and 85 to 95% of new measurements in 90% bands."""
    heights, slopes, hits = [], [], []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        points = surface.sample(2000, 5.8, NOISE_M, seed).points
        frame = Frame.around(0.0, 0.0, 5.0, 0.2)
        found = estimate(points, frame, MapperConfig(), rng)
        x, y = frame.centres().T
        smooth = np.all([np.abs(x - edge) > 0.7 for edge in edges] or [x == x], axis=0).reshape(frame.shape)
        height = surface.height(x, y).reshape(frame.shape)
        slope = surface.slope(x, y).reshape(frame.shape)
        heights.append(np.mean((found.elevation - height)[smooth] ** 2))
        slopes.append(np.mean((found.slope - slope)[smooth] ** 2))
        band = 1.645 * np.sqrt(found.variance + NOISE_M**2)
        hits.append(np.mean(np.abs(found.elevation - height - rng.normal(0, NOISE_M, height.shape)) <= band))
    assert np.sqrt(np.mean(heights)) <= NOISE_M
    assert np.sqrt(np.mean(slopes)) <= 0.02
    assert 0.85 <= np.mean(hits) <= 0.95


def test_three_lines_and_the_layers(tmp_path: Path) -> None:
    mapper = TraversabilityMapper()
    update = mapper.update(ground(), (0.0, 0.0, 0.0, 0.0), 0.0)
    assert update.verdict is Verdict.USED
    assert update.map.frame.shape == (25, 25)
    assert mapper.map()["observed"].all()
    assert np.abs(update.map["elevation"]).max() < 0.02
    assert update.map["cost"].max() < 0.3
    assert set(update.ms) == {"points", "features", "inducing", "between", "fit", "predict", "slope", "fusion"}
    assert mapper.map().at(0.1, 0.1)["slope"] < 0.05
    assert mapper.map().at(99.0, 0.0) == {}


def test_a_box_costs_and_the_ground_around_it_does_not() -> None:
    update = TraversabilityMapper().update(box(ground(), 1.0, 0.5), (0.0, 0.0, 0.0, 0.0), 0.0)
    assert update.map.at(1.3, 0.5)["cost"] > 0.5
    assert update.map.at(-1.5, -1.5)["cost"] < 0.2
    assert update.map.at(1.0, 0.5)["elevation"] == pytest.approx(0.5, abs=0.15)


def test_the_same_scans_give_the_same_map_to_the_last_bit() -> None:
    def run() -> np.ndarray:
        mapper = TraversabilityMapper()
        for k in range(3):
            mapper.update(box(ground(4000, seed=k), 1.0, 0.0), (0.1 * k, 0.0, 0.0, 0.0), 0.1 * k)
        return mapper.map()["cost"]

    np.testing.assert_array_equal(run(), run())


def test_history_follows_the_ground_and_not_the_window() -> None:
    """The robot drives on by 1.4 m and sees nothing of where the box stands; the box stays where it was."""
    mapper = TraversabilityMapper()
    mapper.update(box(ground(half=4.0, n=4000), 1.0, 0.0), (0.0, 0.0, 0.0, 0.0), 0.0)
    before = mapper.map().at(1.3, 0.0)["cost"]
    far = ground(half=4.0, n=4000)
    far = far[np.hypot(far[:, 0] - 1.0, far[:, 1]) > 1.6]
    update = mapper.update(far - (1.4, 0.0, 0.0), (1.4, 0.0, 0.0, 0.0), 0.1)
    assert update.map.frame.col == Frame.around(1.4, 0.0, 5.0, 0.2).col
    assert mapper.map().at(1.3, 0.0)["cost"] == pytest.approx(before, abs=0.05)
    assert update.map.at(1.3, 0.0)["cost"] > 0.5 > update.map.at(-0.3, 0.0)["cost"]
    mapper.update(far - (40.0, 0.0, 0.0), (40.0, 0.0, 0.0, 0.0), 3.0)
    assert mapper.map().at(1.3, 0.0)["cost"] == pytest.approx(before, abs=0.05), "far away it is remembered in its tile"


def test_a_static_scene_converges() -> None:
    config = MapperConfig()
    mapper, right = TraversabilityMapper(config), None
    errors = []
    for k in range(30):
        update = mapper.update(box(ground(1500, seed=k), 1.0, 0.0), (0.0, 0.0, 0.0, 0.0), 0.1 * k)
        if right is None:
            dense = box(ground(60_000, seed=99), 1.0, 0.0)
            right = estimate(dense, update.map.frame, config, np.random.default_rng(0)).cost
        errors.append(float(np.abs(update.map["cost"] - right).mean()))
    best = np.minimum.accumulate(errors)
    assert (np.array(errors[1:]) <= 1.02 * best[:-1] + 2e-3).all()
    assert errors[-1] < errors[0]


def test_where_an_obstacle_has_left_the_map_recovers_in_a_second_and_a_half() -> None:
    mapper = TraversabilityMapper()
    for k in range(10):
        mapper.update(box(ground(seed=k), 1.0, 0.0), (0.0, 0.0, 0.0, 0.0), 0.1 * k)
    assert mapper.map().at(1.3, 0.0)["cost"] > 0.5
    for k in range(10, 25):
        update = mapper.update(ground(seed=k), (0.0, 0.0, 0.0, 0.0), 0.1 * k)
    assert update.map.at(1.3, 0.0)["cost"] < 0.2


@pytest.mark.parametrize(("rule", "freezes"), [("precision", False), ("paper", True)])
def test_the_printed_rule_freezes_the_first_estimate(rule: str, freezes: bool) -> None:
    mapper = TraversabilityMapper(MapperConfig(fusion=FusionConfig(rule=rule)))
    mapper.update(box(ground(), 1.0, 0.0), (0.0, 0.0, 0.0, 0.0), 0.0)
    for k in range(1, 16):
        mapper.update(ground(seed=k), (0.0, 0.0, 0.0, 0.0), 0.1 * k)
    assert (mapper.map().at(1.3, 0.0)["cost"] > 0.4) is freezes


def test_what_was_not_seen_is_not_known() -> None:
    half = ground()
    update = TraversabilityMapper().update(half[half[:, 0] < 0], (0.0, 0.0, 0.0, 0.0), 0.0)
    assert np.isnan(update.map.at(2.0, 0.0)["cost"])
    assert update.map.at(2.0, 0.0)["observed"] == 0.0
    assert update.map.at(-2.0, 0.0)["observed"] == 1.0


def test_nine_of_ten_points_are_not_numbers() -> None:
    points = ground(3000)
    broken = np.random.default_rng(3).random(3000) < 0.9
    points[broken, np.random.default_rng(4).integers(0, 3, broken.sum())] = np.nan
    points[np.flatnonzero(broken)[0]] = np.inf
    update = TraversabilityMapper().update(points, (0.0, 0.0, 0.0, 0.0), 0.0)
    assert update.verdict is Verdict.USED
    assert update.dropped["not finite"] == broken.sum()
    assert np.nanmax(np.abs(update.map["elevation"])) < 0.05
    few = TraversabilityMapper().update(points[broken], (0.0, 0.0, 0.0, 0.0), 0.0)
    assert few.verdict is Verdict.EMPTY
    assert np.isnan(few.map["cost"]).all()


def test_stamps_that_repeat_come_late_or_go_back() -> None:
    mapper = TraversabilityMapper()
    place = (0.0, 0.0, 0.0, 0.0)
    mapper.update(ground(), place, 90.0)
    mapper.update(ground(), place, 100.0)
    before = mapper.map()["cost"]
    for stamp, verdict in ((100.0, Verdict.DUPLICATE), (99.5, Verdict.LATE), (90.0, Verdict.DUPLICATE)):
        update = mapper.update(box(ground(), 1.0, 0.0), place, stamp)
        assert update.verdict is verdict
        assert update.estimate is None
        np.testing.assert_array_equal(mapper.map()["cost"], before)
        np.testing.assert_array_equal(update.map["cost"], before)
    back = mapper.update(ground(seed=1), place, 3.0)
    assert back.verdict is Verdict.CLOCK_BACK
    assert np.abs(mapper.map()["cost"] - before).max() < 0.2, "the map is kept"
    assert mapper.update(ground(seed=2), place, 3.1).verdict is Verdict.USED


def test_shuffled_scans_leave_the_map_of_those_in_order() -> None:
    scans = [(k, box(ground(seed=k), 1.0, 0.0)) for k in range(6)]
    shuffled, ordered = TraversabilityMapper(), TraversabilityMapper()
    for k in (0, 2, 1, 3, 5, 4):
        update = shuffled.update(scans[k][1], (0.0, 0.0, 0.0, 0.0), 0.1 * k)
        assert update.verdict is (Verdict.LATE if k in (1, 4) else Verdict.USED)
    for k in (0, 2, 3, 5):
        ordered.update(scans[k][1], (0.0, 0.0, 0.0, 0.0), 0.1 * k)
    np.testing.assert_array_equal(shuffled.map()["cost"], ordered.map()["cost"])


def test_one_pose_out_of_line_is_left_out_and_two_begin_a_new_map(tmp_path: Path) -> None:
    mapper = TraversabilityMapper(tiles=tmp_path)
    mapper.update(box(ground(), 1.0, 0.0), (0.0, 0.0, 0.0, 0.0), 0.0)
    mapper.save_tiles()
    before = mapper.map()["cost"]
    assert mapper.update(ground(), (9.0, 0.0, 0.0, 0.0), 0.1).verdict is Verdict.STRAY
    np.testing.assert_array_equal(mapper.map()["cost"], before)
    assert mapper.update(ground(), (0.1, 0.0, 0.0, 0.0), 0.2).verdict is Verdict.USED
    assert mapper.update(ground(), (9.0, 0.0, 0.0, 0.0), 0.3).verdict is Verdict.STRAY
    assert mapper.update(ground(), (-9.0, 0.0, 0.0, 0.0), 0.35).verdict is Verdict.STRAY
    assert mapper.update(ground(), (-9.1, 0.0, 0.0, 0.0), 0.4).verdict is Verdict.JUMP
    assert mapper.map().at(1.3, 0.0) == {}
    assert mapper.update(ground(), (-9.2, 0.0, 0.0, 0.0), 0.5).verdict is Verdict.USED
    assert list((tmp_path / "before-1").glob("tile_*.npy")), "what lay on disk is kept"


def test_without_poses_an_outlier_moves_nothing() -> None:
    mapper = TraversabilityMapper()
    mapper.update(ground())
    points = np.concatenate([ground(seed=1), [[12.0, 0.0, 0.0]]])
    update = mapper.update(points)
    assert update.verdict is Verdict.USED
    assert abs(update.map.frame.centres().mean()) < 0.2
    assert update.dropped["outside the window"] == 1


def test_order_by_hand() -> None:
    order = Order(ClockConfig(late_s=1.0, speed_mps=10.0, slack_m=0.5))
    told = [(5.0, 0.0), (5.1, 0.9), (5.05, 0.9), (5.1, 0.9), (5.2, 3.0), (5.3, 3.1), (1.0, 3.0), (1.1, 3.1)]
    verdicts = [order.judge(stamp, (x, 0.0)) for stamp, x in told]
    names = ["USED", "USED", "LATE", "DUPLICATE", "STRAY", "JUMP", "CLOCK_BACK", "USED"]
    assert [verdict.name for verdict in verdicts] == names
    assert order.time == pytest.approx(0.1 + 0.2 + 0.1)


def test_what_is_old_is_no_longer_known() -> None:
    mapper = TraversabilityMapper(MapperConfig(clock=ClockConfig(forget_s=5.0)))
    mapper.update(ground(), (0.0, 0.0, 0.0, 0.0), 0.0)
    mapper.update(ground(), (30.0, 0.0, 0.0, 0.0), 60.0)
    assert mapper.map().at(0.0, 0.0)["observed"] == 0.0
    assert mapper.map().at(30.0, 0.0)["observed"] == 1.0


def test_the_uncertainty_after_many_scans_is_on_the_safe_side() -> None:
    """Scans of one place err alike, so the variance does not fall with their number; the truth is in the band."""
    surface = sphere_cap(6.0, 1.5)
    mapper = TraversabilityMapper()
    for k in range(10):
        update = mapper.update(surface.sample(2000, 5.8, NOISE_M, k).points, (0.0, 0.0, 0.0, 0.0), 0.1 * k)
    x, y = update.map.frame.centres().T
    off = np.abs(update.map["elevation"].ravel() - surface.height(x, y))
    assert np.mean(off <= 1.645 * update.map["uncertainty"].ravel()) >= 0.9
    assert update.map["uncertainty"].max() < 2 * NOISE_M


def test_wide_windows_and_coarse_cells_know_what_they_have_seen() -> None:
    config = MapperConfig(window=WindowConfig(size_m=20.0, cell_m=0.2))
    update = TraversabilityMapper(config).update(ground(40_000, half=10.5), (0.0, 0.0, 0.0, 0.0), 0.0)
    assert update.map.observed.all()


def test_points_above_the_ceiling_and_outside_are_counted() -> None:
    points = np.concatenate([ground(), ground(100, z=2.0), ground(50) + np.array([50.0, 0.0, 0.0])])
    mapper = TraversabilityMapper(MapperConfig(ceiling_m=0.5, sensor_height_m=0.6))
    update = mapper.update(points - (0.0, 0.0, 0.6), (0.0, 0.0, 0.6, 0.0), 0.0)
    assert update.dropped == {"not finite": 0, "above the ceiling": 100, "outside the window": 50}
    assert update.used == 2000


def test_a_pose_turns_the_points() -> None:
    points = box(ground(half=4.0, n=4000), 1.5, 0.0)
    update = TraversabilityMapper().update(points, pose_matrix(10.0, 5.0, 2.0, np.pi / 2), 0.0)
    assert update.map.at(10.0, 6.8)["cost"] > 0.4
    assert update.map.at(9.0, 4.0)["elevation"] == pytest.approx(2.0, abs=0.02)


@pytest.mark.parametrize(
    ("points", "pose", "stamp", "message"),
    [
        (np.zeros((5, 2)), None, 0.0, r"shape \(n, 3\)"),
        (np.array([["a", "b", "c"]]), None, 0.0, "array of numbers"),
        (np.zeros((50, 3)), np.eye(3), 0.0, "a pose is"),
        (np.zeros((50, 3)), np.diag([1.0, 1.0, -1.0, 1.0]), 0.0, "a pose is"),
        (np.zeros((50, 3)), (0.0, np.nan, 0.0, 0.0), 0.0, "a pose is a finite"),
        (ground() + np.array([5e5, 5e6, 0.0]), (5e5, 5e6, 0.0, 0.0), 0.0, "in the world's frame already"),
        (
            ground(500) @ np.array([[0.0, 0, 1], [0, 1, 0], [1, 0, 0]]) * (1, 0.1, 1),
            (0.0,) * 4,
            0.0,
            "z seems not to be up",
        ),
        (np.zeros((50, 3)), None, np.nan, "the stamp is nan"),
    ],
)
def test_arguments_that_make_no_sense(points: np.ndarray, pose: object, stamp: float, message: str) -> None:
    with pytest.raises(DataError, match=message):
        TraversabilityMapper().update(points, pose, stamp)


def test_an_empty_map_says_so() -> None:
    with pytest.raises(DataError, match="the map is empty"):
        TraversabilityMapper().map()


def test_a_map_goes_on_from_its_tiles(tmp_path: Path) -> None:
    config = MapperConfig(window=WindowConfig(cell_m=0.1))
    first = TraversabilityMapper(config, tiles=tmp_path)
    first.update(box(ground(4000), 1.0, 0.0), (0.0, 0.0, 0.0, 0.0), 0.0)
    first.update(box(ground(4000, seed=1), 1.0, 0.0), (0.0, 0.0, 0.0, 0.0), 1000.0)
    first.save_tiles()
    again = TraversabilityMapper(config, tiles=tmp_path)
    np.testing.assert_array_equal(again.map()["cost"], first.map()["cost"])
    assert again.order.time == 1000.0
    update = again.update(ground(4000, seed=2, z=0.5), (0.0, 0.0, 0.0, 0.0), 7.0)
    height = update.map.at(-1.0, -1.0)["elevation"]
    assert 0.1 < height < 0.5, "old and new are weighed as if the drive had gone on"
    with pytest.raises(DataError, match=r"holds a map with cells of 0\.1 m"):
        TraversabilityMapper(tiles=tmp_path)
