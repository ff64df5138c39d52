"""The simulated lidar: bins, the nearest return, limits of range, the dark sector, noise, repeatability."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espalier.core.errors import ConfigError
from espalier.robots.terrain.cloud.frames import pose_matrix, rotations, transform
from espalier.robots.terrain.cloud.lidar import LidarConfig, SpinningLidar

HERE = np.eye(4)
EXACT = {"noise_m": 0.0, "occluded": 0.0}


def seen(points: object, pose: np.ndarray = HERE, seed: int = 0, **settings: float) -> np.ndarray:
    """(m, 3): what a lidar returns, without noise and darkness unless asked for."""
    config = LidarConfig.of(**{**EXACT, **settings})
    return SpinningLidar(config).scan(np.array(points, float), pose, np.random.default_rng(seed)).points


def ring(count: int, radius: float, height: float = 0.0) -> np.ndarray:
    """(count, 3) points all around, in the middle of equal parts of a turn."""
    angle = (np.arange(count) + 0.5) * 2 * math.pi / count - math.pi
    return np.column_stack([radius * np.cos(angle), radius * np.sin(angle), np.full(count, height)])


def test_a_turn_has_126_bins_and_64_lines() -> None:
    assert len(seen(ring(10_000, 2.0))) == 126  # 2 pi / 0.05, the last bin narrower
    elevation = np.linspace(-1.57, 1.57, 10_001)
    assert len(seen(2 * np.column_stack([np.cos(elevation), np.zeros(10_001), np.sin(elevation)]))) == 64
    assert len(seen([[0, 0, 2], [0, 0, -2]], lines=3)) == 2  # straight up and straight down
    assert seen([[0, 0, 2], [0.01, 0, 3]]).tolist() == [[0, 0, 2]]  # the last line holds its upper edge
    assert len(seen(ring(1000, 2.0), azimuth_rad=math.pi / 2)) == 4
    assert seen([[-2, 0, 0], [-2, 0.1, 0]], azimuth_rad=math.pi / 2).tolist() == [
        [-2, 0, 0]
    ]  # and the last bin its own


def test_a_narrow_field_of_view_is_around_the_horizon() -> None:
    heights = [[1, 0, math.tan(angle)] for angle in (-0.21, -0.19, 0.0, 0.19, 0.21)]
    points = seen(heights, lines=4, elevation_rad=0.4)
    np.testing.assert_allclose(points[:, 2], np.tan([-0.19, 0.0, 0.19]))


def test_the_nearest_of_a_bin_returns() -> None:
    ahead = [[3.0, 0.06, 0.01], [2.0, 0.04, 0.01], [2.5, 0.05, 0.01]]
    assert seen(ahead).tolist() == [[2.0, 0.04, 0.01]]
    aside = [*ahead, [0.02, 4.0, 0.01]]
    assert sorted(seen(aside).tolist()) == [[0.02, 4.0, 0.01], [2.0, 0.04, 0.01]]


def test_ranges_end_where_they_should() -> None:
    points = [[0.1, 0, 0], [0.0999, 0.001, 0], [0, 5.0, 0], [0, -5.001, 0], [-4.9, 0, 1.0]]
    assert sorted(seen(points).tolist()) == [[0.0, 5.0, 0.0], [0.1, 0.0, 0.0]]
    assert len(seen([[0.0, 0.0, 0.0]], near_m=0.0)) == 0  # the sensor does not see itself


def test_points_are_in_the_frame_of_the_sensor() -> None:
    pose = pose_matrix(100, 200, 1, math.pi / 2)
    np.testing.assert_allclose(seen([[100, 203, 1.5]], pose), [[3, 0, 0.5]], atol=1e-12)


@pytest.mark.parametrize("share", [0.15, 0.5])
def test_the_dark_sector_is_one_piece_of_its_share(share: float) -> None:
    around, firsts = ring(10_000, 2.0), []
    for seed in range(40):
        points = seen(around, seed=seed, azimuth_rad=2 * math.pi / 10_000, occluded=share)
        assert abs(len(points) - 10_000 * (1 - share)) <= 1
        angle = np.arctan2(points[:, 1], points[:, 0])
        gaps = np.diff(np.sort(angle), append=angle.min() + 2 * math.pi)
        assert gaps.max() == pytest.approx(share * 2 * math.pi, abs=0.002)
        assert np.count_nonzero(gaps > 0.001) == 1
        firsts.append(np.sort(angle)[gaps.argmax()])
    assert np.histogram(firsts, 4, (-math.pi, math.pi))[0].min() >= 4  # drawn anew for each scan, from all around


def test_noise_is_gaussian_along_the_ray() -> None:
    clean = seen(ring(5_000, 3.0, 0.5), azimuth_rad=2 * math.pi / 5_000)
    noisy = seen(ring(5_000, 3.0, 0.5), azimuth_rad=2 * math.pi / 5_000, noise_m=0.02)
    assert len(clean) == len(noisy) == 5_000
    ranges = np.linalg.norm(clean, axis=1)
    np.testing.assert_allclose(np.cross(clean, noisy), 0.0, atol=1e-12)
    errors = (noisy * clean).sum(1) / ranges - ranges
    assert errors.mean() == pytest.approx(0.0, abs=0.001)
    assert errors.std() == pytest.approx(0.02, rel=0.05)
    assert np.mean(np.abs(errors) < 0.02) == pytest.approx(0.683, abs=0.02)


def test_a_seed_repeats_a_drive_and_stamps_follow_the_rate() -> None:
    cloud = np.random.default_rng(0).uniform(-4, 4, (5_000, 3)) * (1, 1, 0.1)
    poses = [pose_matrix(0.3 * k, 0, 0.5, 0.1 * k) for k in range(3)]
    lidar = SpinningLidar(LidarConfig())
    first, again = (list(lidar.drive(cloud, poses, np.random.default_rng(7))) for _ in range(2))
    assert [scan.stamp for scan in first] == [0.0, 0.1, 0.2]
    for one, two, pose in zip(first, again, poses, strict=True):
        np.testing.assert_array_equal(one.points, two.points)
        assert one.pose is pose
    other = next(lidar.drive(cloud, poses, np.random.default_rng(8)))
    assert other.points.shape != first[0].points.shape or (other.points != first[0].points).any()


def slow_scan(points: np.ndarray, pose: np.ndarray, config: LidarConfig) -> dict[tuple[int, int], np.ndarray]:
    """The obvious way: every point falls into its bin, and the nearest stays."""
    best: dict[tuple[int, int], np.ndarray] = {}
    for point in (points - pose[:3, 3]) @ pose[:3, :3]:
        distance = np.linalg.norm(point)
        if not config.near_m <= distance <= config.far_m:
            continue
        ray = math.floor((math.atan2(point[1], point[0]) + math.pi) / config.azimuth_rad)
        line = math.floor((math.asin(point[2] / distance) / config.elevation_rad + 0.5) * config.lines)
        if 0 <= line < config.lines and ((ray, line) not in best or distance < np.linalg.norm(best[ray, line])):
            best[ray, line] = point
    return best


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 400), st.sampled_from([0.05, 0.4, 1.0]), st.sampled_from([3, 16, 64]), st.integers(0, 999))
def test_scans_are_the_obvious_ones(n: int, azimuth: float, lines: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.normal((100, 0, 0), 2, (n, 3))
    pose = pose_matrix(100, 0.5, -0.2)
    pose[:3, :3] = rotations(rng.normal(size=(1, 4)))[0]
    config = LidarConfig(azimuth_rad=azimuth, lines=lines, elevation_rad=2.0, noise_m=0.0, occluded=0.0)
    scan = SpinningLidar(config).scan(points, pose, rng)
    slow = slow_scan(points, pose, config)
    np.testing.assert_allclose(scan.points, np.array([slow[key] for key in sorted(slow)]).reshape(-1, 3), atol=1e-12)
    world = transform(scan.points, pose)
    assert all(np.abs(points - point).max(1).min() < 1e-9 for point in world)


@pytest.mark.parametrize(("key", "value"), [("occluded", 1.0), ("lines", 0), ("near_m", 6.0), ("azimuth", 0.1)])
def test_a_lidar_that_makes_no_sense_is_an_error(key: str, value: float) -> None:
    with pytest.raises(ConfigError, match=key):
        LidarConfig.of(**{key: value})
