"""Clouds: every format there and back, with its fields and its digits."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from cloud_files import OLD_PCD, ROWS, TEXT_PCD, TEXT_PLY, WARM, write
from pypcd4.pypcd4 import Encoding, PointCloud

from espalier.core.data import DataRoot
from espalier.core.errors import DataError
from espalier.robots.terrain.cloud.cloud import Cloud
from espalier.robots.terrain.cloud.load import FORMATS, load_cloud, save_cloud

UTM = np.array([[691_234.567, 5_334_567.891, 512.345], [691_300.001, 5_334_600.002, 513.003]])


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_cloud_comes_back_from_every_format(tmp_path: Path, suffix: str) -> None:
    cloud = Cloud(ROWS, fields={"intensity": WARM, "ring": np.array([3, 1, 2], np.uint16)})
    save_cloud(cloud, tmp_path / "new" / f"a{suffix}")
    back = load_cloud(tmp_path / "new" / f"a{suffix}")
    np.testing.assert_allclose(back.points, ROWS, rtol=0, atol=1e-9)
    assert (len(back), back.source, back.dropped) == (3, str(tmp_path / "new" / f"a{suffix}"), {})
    if suffix not in (".las", ".laz"):
        assert back.fields["intensity"].tolist() == WARM.tolist()
    if suffix in (".pcd", ".ply", ".npy", ".npz"):
        assert (back.fields["ring"].dtype, back.fields["ring"].tolist()) == (np.uint16, [3, 1, 2])


@pytest.mark.parametrize("suffix", [suffix for suffix in FORMATS if suffix != ".bin"])
def test_large_coordinates_keep_their_millimetres(tmp_path: Path, suffix: str) -> None:
    save_cloud(Cloud(UTM), tmp_path / f"a{suffix}")
    np.testing.assert_allclose(load_cloud(tmp_path / f"a{suffix}").points, UTM, rtol=0, atol=1e-4)


def test_kitti_refuses_what_float32_would_move(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"would move a point by 0\.\d+ m; write .npz"):
        save_cloud(Cloud(UTM), tmp_path / "a.bin")
    assert not list(tmp_path.iterdir())


def test_pcd_of_text(tmp_path: Path) -> None:
    cloud = load_cloud(write(tmp_path, "a.PCD", TEXT_PCD))
    assert cloud.points.tolist() == [[1.5, -2.25, 0.125], [-7, 8.5, -9]]
    assert ({name: v.tolist() for name, v in cloud.fields.items()}, cloud.dropped) == (
        {"intensity": [0.5, 1.0]},
        {"not finite": 1},
    )
    far = TEXT_PCD.replace("1.5 -2.25 0.125", "691234.567 5334567.891 512.345")
    assert load_cloud(write(tmp_path, "b.pcd", far)).points[0].tolist() == UTM[0].tolist()


def test_pcd_compressed_and_of_an_old_version(tmp_path: Path) -> None:
    rows = np.tile(ROWS, (50, 1)).astype(np.float32)
    packed = PointCloud.from_points(rows, ("x", "y", "z"), (np.float32,) * 3)
    packed.save(tmp_path / "a.pcd", Encoding.BINARY_COMPRESSED)
    assert (tmp_path / "a.pcd").stat().st_size < rows.nbytes
    assert load_cloud(tmp_path / "a.pcd").points.tolist() == rows.tolist()
    old = write(tmp_path, "b.pcd", OLD_PCD.encode() + ROWS.astype("<f4").tobytes())
    assert load_cloud(old).points.tolist() == ROWS.tolist()


def test_ply_of_text_and_of_both_byte_orders(tmp_path: Path) -> None:
    cloud = load_cloud(write(tmp_path, "a.ply", TEXT_PLY))
    assert (cloud.points.tolist(), cloud.fields["red"].tolist()) == (ROWS.tolist(), [7, 8, 9])
    head, _ = TEXT_PLY.split("end_header\n")
    for order, name in (("<", "little"), (">", "big")):
        data = struct.pack(order + "f", 0.05) + b"".join(struct.pack(order + "fffB", *row, 7) for row in ROWS)
        start = head.replace("ascii", f"binary_{name}_endian") + "end_header\n"
        cloud = load_cloud(write(tmp_path, "b.ply", start.encode() + data))
        assert (cloud.points.tolist(), cloud.fields["red"].tolist()) == (ROWS.tolist(), [7, 7, 7])


def test_las_applies_scale_and_offset(tmp_path: Path) -> None:
    save_cloud(Cloud(ROWS), tmp_path / "a.las")
    content = bytearray((tmp_path / "a.las").read_bytes())
    before = load_cloud(tmp_path / "a.las").points
    struct.pack_into("<ddd", content, 131, 0.5, 0.5, 0.5)  # scales of x, y, z
    struct.pack_into("<ddd", content, 155, 100.0, 200.0, 300.0)  # and offsets
    after = load_cloud(write(tmp_path, "b.las", content)).points
    steps = (before - np.floor(ROWS.min(0))) / 1e-4
    np.testing.assert_allclose(after, steps * 0.5 + (100, 200, 300), rtol=0, atol=1e-3)


def test_numpy_arrays_of_every_shape(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.column_stack([ROWS, WARM, WARM]).astype(np.float32))
    cloud = load_cloud(tmp_path / "a.npy")
    assert (cloud.points.tolist(), list(cloud.fields)) == (ROWS.tolist(), ["column_3", "column_4"])
    named = np.zeros(3, [("y", ">f8"), ("x", "i2"), ("z", "f4"), ("name", "U3")])
    named["x"], named["y"] = (1, 2, 3), (4, np.inf, 6)
    np.save(tmp_path / "b.npy", named)
    cloud = load_cloud(tmp_path / "b.npy")
    assert (cloud.points.tolist(), cloud.dropped, cloud.fields) == ([[1, 4, 0], [3, 6, 0]], {"not finite": 1}, {})
    np.savez(tmp_path / "c.npz", points=ROWS, warm=WARM, other=np.zeros(7), one=np.float64(1))
    assert list(load_cloud(tmp_path / "c.npz").fields) == ["warm"]


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "count", "extent", "fields"),
    [
        ("forest", 141_068, (12, 12, 2.75), 0),
        ("desert", 100_000, (12, 12, 1.95), 3),
        ("vocano", 100_000, (10.9, 10.9, 1.18), 3),
    ],
)
def test_the_real_clouds(tmp_path: Path, name: str, count: int, extent: tuple[float, ...], fields: int) -> None:
    cloud = load_cloud(DataRoot.find().file(f"terrain/{name}.pcd"))
    assert (len(cloud), len(cloud.fields), dict(cloud.dropped)) == (count, fields, {})
    np.testing.assert_allclose(cloud.high - cloud.low, extent, atol=0.01)
    for suffix in FORMATS:
        save_cloud(cloud, tmp_path / f"a{suffix}")
        back = load_cloud(tmp_path / f"a{suffix}")
        np.testing.assert_allclose(back.points, cloud.points, rtol=0, atol=5.1e-5 if "la" in suffix else 0)
        if suffix in (".pcd", ".ply", ".npy", ".npz"):
            assert all(np.array_equal(back.fields[key], values) for key, values in cloud.fields.items())
