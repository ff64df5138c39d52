"""Whole clouds, the façade, and the comparison with its parts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espalier.core.data import DataRoot
from espalier.core.errors import ConfigError, DataError
from espalier.robots import terrain
from espalier.robots.terrain.cloud.lidar import LidarConfig
from espalier.robots.terrain.compare.elevation import ElevationMap
from espalier.robots.terrain.compare.protocol import circle, judge, scans_of
from espalier.robots.terrain.compare.truth import truth
from espalier.robots.terrain.config import CostConfig, MapperConfig
from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.scenes.config import SceneConfig
from espalier.robots.terrain.scenes.scene import make_scene
from espalier.robots.terrain.scenes.surfaces import plane, sphere_cap
from espalier.robots.terrain.whole import Buckets


@given(st.integers(0, 500), st.floats(-6, 6), st.floats(-6, 6), st.floats(0.2, 5), st.floats(0, 1))
@settings(max_examples=40, deadline=None)
def test_buckets_find_what_a_mask_finds(seed: int, x: float, y: float, size: float, margin: float) -> None:
    points = np.random.default_rng(seed).normal(size=(300, 3)) * 3
    low, high = np.array([x, y]) - margin, np.array([x, y]) + size + margin
    right = np.flatnonzero(((points[:, :2] >= low) & (points[:, :2] <= high)).all(1))
    assert Buckets(points, 1.5).within((x, y, x + size, y + size), margin).tolist() == right.tolist()


@pytest.mark.parametrize("surface", [plane(0.2, -0.1), sphere_cap(20.0, 2.0)])
def test_a_whole_cloud_has_no_seams(surface: object) -> None:
    cloud = surface.sample(60_000, size_m=10.0, noise_m=0.01, seed=1)
    ground = terrain.build(cloud, cell_m=0.1)
    assert ground.observed.all()
    x, y = ground.frame.centres().T
    height = surface.height(x, y).reshape(ground.frame.shape)
    slope = surface.slope(x, y).reshape(ground.frame.shape)
    assert np.sqrt(np.mean((ground["elevation"] - height) ** 2)) < 0.01
    assert np.sqrt(np.mean((ground["slope"] - slope)[3:-3, 3:-3] ** 2)) < 0.03
    jumps = np.abs(np.diff(ground["elevation"] - height, axis=1))
    assert jumps.max() < 0.02


def test_arrays_files_and_settings(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(0, 4, (5000, 3)) * (1, 1, 0.01)
    broken = np.concatenate([points, np.full((7, 3), np.nan)])
    np.save(tmp_path / "points.npy", points)
    from_array = terrain.build(broken, cell_m=0.2)
    from_file = terrain.build(tmp_path / "points.npy", cell_m=0.2)
    np.testing.assert_array_equal(from_array["elevation"], from_file["elevation"])
    assert from_array.frame.shape == (20, 20)
    with pytest.raises(ConfigError, match="unknown key 'sed'"):
        terrain.build(points, sed=1)
    with pytest.raises(DataError, match=r"shape \(n, 3\)"):
        terrain.build(points[:, :2])
    with pytest.raises(DataError, match="no finite point"):
        terrain.build(broken[5000:])
    with pytest.raises(DataError, match=r"remove outliers, check the unit, or take larger cells"):
        terrain.build(np.concatenate([points, [[1e7, 1e7, 0.0]]]))


def test_a_cloud_with_a_hole_and_an_island() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(-6, 6, (30_000, 3)) * (1, 1, 0.005)
    r = np.hypot(points[:, 0], points[:, 1])
    island = rng.uniform(0, 1, (500, 3)) * (1, 1, 0.005) + (12.0, 12.0, 0.0)
    ground = terrain.build(np.concatenate([points[r > 2], island]), cell_m=0.2)
    assert np.isnan(ground.at(0.0, 0.0)["cost"])
    assert np.isnan(ground.at(9.0, 9.0)["elevation"])
    assert ground.at(12.5, 12.5)["elevation"] == pytest.approx(0.0, abs=0.01)
    assert ground.at(5.0, 5.0)["observed"] == 1.0


def test_the_truth_of_a_plane_is_its_slope() -> None:
    frame = Frame(0.2, -10, -10, 20, 20)
    found = truth(plane(0.3, 0.0).sample(200_000, 6.0).points, frame, CostConfig())
    slope, step = 0.3 / 0.8, 1.0
    inner = found.cost[2:-2, 2:-2]
    assert np.isfinite(found.cost).all()
    assert (inner > 0.25 * slope * 0.9).all()
    assert (inner < 0.25 * slope + 0.375 * step * 0.2).all()
    far = truth(plane().sample(2000, 1.0).points, frame, CostConfig())
    assert np.isnan(far.cost[0, 0])


def test_a_kalman_cell_by_hand() -> None:
    other = ElevationMap(1.0, noise_m=0.1, drift_m2_per_s=0.0)
    frame = Frame(1.0, 0, 0, 1, 2)
    other.update(np.array([[0.5, 0.5, 1.0], [0.5, 0.5, 1.2]]), 0.0)
    assert other.heights(frame)[0, 0] == pytest.approx(1.1)
    assert np.isnan(other.heights(frame)[0, 1])
    other.update(np.array([[0.5, 0.5, 1.0]]), 1.0)
    gain = 0.005 / (0.005 + 0.01)
    assert other.heights(frame)[0, 0] == pytest.approx(1.1 - 0.1 * gain)
    other.update(np.array([[0.5, 0.5, -5.0]]), 2.0)
    assert other.heights(frame)[0, 0] == pytest.approx(1.1 - 0.1 * gain), "lower outliers are ignored"
    other.update(np.array([[0.5, 0.5, 5.0]]), 3.0)
    assert other.heights(frame)[0, 0] == pytest.approx(5.0), "higher ones replace"


def ordered(points: np.ndarray, scans: int) -> dict[str, float]:
    names = ("sgp", "fsgp", "fsgp_bgk", "fsgp_bgk_paper")
    drive = scans_of(points, LidarConfig(), circle(points, scans, 0.6), 0)
    return {name: found.error for name, found in judge(points, drive, names, MapperConfig()).items()}


@pytest.mark.parametrize("kind", ["hills", "ruin"])
def test_features_and_fusion_each_help_on_generated_ground(kind: str) -> None:
    points = make_scene(SceneConfig(kind=kind, size_m=12.0, density_per_m2=400.0, seed=3)).cloud.points
    error = ordered(points, 20)
    assert error["sgp"] > error["fsgp"] > error["fsgp_bgk"]
    assert error["fsgp_bgk"] < 0.75 * error["sgp"]


@pytest.mark.data
@pytest.mark.parametrize("name", ["forest", "desert", "vocano"])
def test_features_and_fusion_each_help_on_real_clouds(name: str) -> None:
    error = ordered(terrain.load(DataRoot.find().file(f"terrain/{name}.pcd")).points, 40)
    assert error["sgp"] > error["fsgp"] > 1.01 * error["fsgp_bgk"]
    assert error["fsgp_bgk"] < 0.75 * error["sgp"]
    assert error["fsgp_bgk_paper"] > error["fsgp"], "the rule as printed freezes"


@pytest.mark.data
def test_a_real_cloud_whole() -> None:
    cloud = terrain.load(DataRoot.find().file("terrain/desert.pcd"))
    ground = terrain.build(cloud)
    right = truth(cloud.points, ground.frame, CostConfig())
    assert np.sqrt(np.nanmean((ground["elevation"] - right.elevation) ** 2)) < 0.02
    assert np.nanmean(np.abs(ground["cost"] - right.cost)) < 0.05


def test_importing_it_is_light() -> None:
    code = "import time; t = time.perf_counter(); from espalier.robots import terrain; import espalier.robots.jobs; "
    code += "import sys; print(sorted({'numba', 'scipy', 'matplotlib', 'rasterio'} & sys.modules.keys()))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_ceiling_is_above_the_ground_around() -> None:
    rng = np.random.default_rng(0)
    floor = rng.uniform(-3, 3, (20_000, 3)) * (1, 1, 0.01)
    floor[:, 2] += 0.3 * floor[:, 0]
    crown = floor[::4] + np.array([0.0, 0.0, 3.0])
    both = np.concatenate([floor, crown])
    assert terrain.build(both, 0.2).at(1.0, 0.0)["elevation"] > 0.6
    assert terrain.build(both, 0.2, ceiling_m=1.0).at(1.0, 0.0)["elevation"] == pytest.approx(0.33, abs=0.05)


def test_clouds_that_cannot_be_mapped_say_why() -> None:
    with pytest.raises(DataError, match="too thin to map"):
        terrain.build(np.zeros((3, 3)))
    with pytest.raises(DataError, match="remove outliers"):
        terrain.build(np.array([[0.0, 0, 0], [1e20, 0, 0], [1, 1, 0]] * 10))
    with pytest.raises(ConfigError, match="finite"):
        terrain.build(np.zeros((99, 3)), gp={"alpha": float("inf")})
    with pytest.raises(ConfigError, match=r"features.neighbours"):
        terrain.build(np.zeros((99, 3)), features={"neighbours": 1})


def test_a_strip_has_slopes_along_itself() -> None:
    y = np.linspace(0, 5, 400)
    strip = terrain.build(np.column_stack([np.full(400, 0.05), y, 0.2 * y]), cell_m=0.1)
    assert strip.frame.cols == 1
    assert np.median(strip["slope"]) == pytest.approx(0.2, abs=0.02)
    assert np.isfinite(strip["cost"]).all()


def test_maps_are_found_by_text_or_path(tmp_path: Path) -> None:
    ground = terrain.build(plane().sample(3000, 3.0).points, cell_m=0.2)
    for name in ("map.tif", "map.npz"):
        ground.save(tmp_path / name)
        np.testing.assert_array_equal(terrain.load_map(str(tmp_path / name))["cost"], ground["cost"])
