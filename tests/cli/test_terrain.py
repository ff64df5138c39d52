"""`espalier terrain`, as it is typed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from espalier.cli.main import main
from espalier.robots.terrain.cloud.cloud import Cloud
from espalier.robots.terrain.cloud.frames import pose_matrix
from espalier.robots.terrain.cloud.load import save_cloud


@pytest.fixture
def cloud(tmp_path: Path) -> Path:
    points = np.random.default_rng(0).uniform(-3, 3, (8000, 3)) * (1, 1, 0.01)
    save_cloud(Cloud(points), tmp_path / "cloud.ply")
    return tmp_path / "cloud.ply"


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A folder of four flat scans, 0.1 m apart, with their poses."""
    folder = tmp_path / "scans"
    folder.mkdir()
    lines = []
    for k in range(4):
        points = np.random.default_rng(k).uniform(-3, 3, (1500, 3)) * (1, 1, 0.01)
        points[:5] = np.nan
        save_cloud(Cloud(points[5:] - (0.1 * k, 0, 0)), folder / f"{k:04d}.pcd")
        lines.append(" ".join(map(str, pose_matrix(0.1 * k, 0.0)[:3].ravel())))
    (folder / "poses.txt").write_text("\n".join(lines))
    return folder


def test_a_map_of_a_cloud_and_a_route_over_it(cloud: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = [tmp_path / name for name in ("map.tif", "map.npz", "map.png", "map.yaml", "map.json")]
    words = [word for file in out for word in ("--out", str(file))]
    assert main(["terrain", "map", str(cloud), "--cell", "0.2", "gp.noise_m=0.01", *words]) == 0
    said = capsys.readouterr().out
    assert "8,000 points" in said
    assert "of 0.2 m, x -3.0 to 3.0" in said
    assert all(file.stat().st_size > 100 for file in out)
    places = ["--start=-2,-2", "--goal=2,2"]
    routes = [word for name in ("r.csv", "r.geojson") for word in ("--route", str(tmp_path / name))]
    routes = [word.replace("r.csv", "new/r.csv") for word in routes]
    for ground in (cloud, tmp_path / "map.tif", tmp_path / "map.npz"):
        picture = ["--out", str(tmp_path / "route.png")]
        assert main(["terrain", "plan", str(ground), *places, *routes, *picture, "radius_m=0.2"]) == 0
        assert "mean cost" in capsys.readouterr().out
    assert (tmp_path / "new" / "r.csv").read_text().startswith("x")
    assert (tmp_path / "route.png").read_bytes().startswith(b"\x89PNG")


def test_graded_costs_reach_nav2(cloud: Path, tmp_path: Path) -> None:
    words = ["--cell", "0.2", "--out", str(tmp_path / "map.yaml"), "--nav2", "scale"]
    assert main(["terrain", "map", str(cloud), *words]) == 0
    assert "mode: scale" in (tmp_path / "map.yaml").read_text()
    assert (tmp_path / "map.png").is_file()


def test_what_is_left_out_and_what_is_doubtful_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    flat = rng.uniform(-3, 3, (6000, 3)) * (1, 1, 0.002)
    save_cloud(Cloud(np.concatenate([flat, [[0, 0, -50.0]]])), tmp_path / "low.npy")
    assert main(["terrain", "map", str(tmp_path / "low.npy"), "--cell", "0.2"]) == 0
    said = capsys.readouterr().out
    assert "6,000 points; left out: 1 lone above or below all others" in said
    assert "warning" not in said
    save_cloud(Cloud(np.concatenate([flat, rng.uniform(-3, 3, (24_000, 3))])), tmp_path / "air.npy")
    assert main(["terrain", "map", str(tmp_path / "air.npy"), "--cell", "0.2"]) == 0
    assert "warning: " in capsys.readouterr().out


def test_a_map_of_scans_that_goes_on_from_its_tiles(
    scans: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["terrain", "stream", str(scans), "--tiles", str(tmp_path / "tiles"), "--out", str(tmp_path / "map.npz")]
    save_cloud(Cloud(np.full((9, 3), np.nan)), scans / "0001.npy")
    (scans / "0001.pcd").unlink()
    assert main([*words, "window.size_m=4"]) == 0
    said = capsys.readouterr().out
    assert "scans: 3 used, 1 too few points" in said
    assert "9 not finite" in said
    assert "100.0% observed" in said
    assert list((tmp_path / "tiles").glob("tile_*.npy"))
    assert main(words) == 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["terrain", "mop"], "cannot 'mop'; did you mean 'map'"),
        (["terrain", "map"], "usage: espalier terrain map"),
        (["terrain", "map", "none.pcd"], r"none.pcd"),
        (["terrain", "map", "CLOUD", "gp.nose_m=1"], "unknown key 'gp.nose_m'; did you mean 'noise_m'"),
        (["terrain", "map", "CLOUD", "--out", "map.gif"], "map.gif"),
        (["terrain", "map", "CLOUD", "window=3"], "window"),
        (["terrain", "map", "CLOUD", "cell_m=0.2"], "unknown key 'cell_m'"),
        (["terrain", "bench", "x=1"], "usage: espalier terrain bench"),
        (["terrain", "plan", "CLOUD"], "plan needs --start"),
        (["terrain", "plan", "CLOUD", "--start=0,0", "--goal=99,0"], r"goal \(99, 0\) lies outside the map"),
        (["terrain", "stream", "CLOUD"], "cloud.ply"),
        (["terrain", "map", "CLOUD", "--live"], "map has no --live: it is of espalier terrain stream"),
        (["terrain", "map", "CLOUD", "--start=0,0"], "map has no --start: it is of espalier terrain plan"),
        (["terrain", "stream", "CLOUD", "--route", "r.csv"], "stream has no --route: .* terrain plan"),
        (["terrain", "stream", "CLOUD", "--data-root", "x"], "stream has no --data-root: .* terrain map and plan"),
        (
            ["terrain", "bench", "--out", "a.tif"],
            "bench has no --out: .* terrain map and stream and plan",
        ),
        (["terrain", "map", "CLOUD", "--out", "a.npz", "--epsg", "32632"], "--epsg is for files that end in .tif"),
        (["terrain", "map", "CLOUD", "--out", "a.tif", "--nav2", "scale"], "--nav2 is for files that end in .yaml"),
    ],
)
def test_what_is_wrong_is_named(
    words: list[str], message: str, cloud: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(cloud.parent)
    assert main([word.replace("CLOUD", str(cloud)) for word in words]) == 2
    import re

    assert re.search(message, capsys.readouterr().err)
