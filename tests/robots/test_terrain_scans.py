"""Scans of a folder: their order, their poses by stamp or by order, errors by file and line; and frames."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.core.errors import DataError
from espalier.robots.terrain.cloud.cloud import Cloud
from espalier.robots.terrain.cloud.frames import check_frame, distortion, pose_matrix, rotations, tilt, transform
from espalier.robots.terrain.cloud.load import save_cloud
from espalier.robots.terrain.cloud.poses import read_poses
from espalier.robots.terrain.cloud.scans import load_scans

TUM = """# stamp tx ty tz qx qy qz qw
10.00 1 2 3 0 0 0 1

10.10 2 2 3 0 0 0.7071 0.7071  # turned to the left
10.20 3 2 3 0 0 0 -1
"""
SHUFFLED = "10.2 3 0 0 0 0 0 1\n10.0 1 0 0 0 0 0 1\n10.1 2 0 0 0 0 0 1\n10.1 9 0 0 0 0 0 1\n"
KITTI = "1 0 0 5 0 1 0 6 0 0 1 7\n0 -1 0 8 1 0 0 9 0 0 1 10\n"
LEFT = [[0, -1, 0], [1, 0, 0], [0, 0, 1]]


def scans_in(folder: Path, names: list[str], poses: str, pose_name: str = "poses.txt") -> Path:
    """A folder of clouds told apart by the x of their first point: 0, 1, 2 and so on, as named."""
    for number, name in enumerate(names):
        save_cloud(Cloud(np.array([[number, 0.0, 0.0], [number, 1.0, 0.0]])), folder / name)
    (folder / pose_name).write_text(poses)
    return folder


def test_scans_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "._s_1.npy").write_bytes(b"left by another system")
    scans = load_scans(scans_in(tmp_path, ["s_2.npy", "s_10.npy", "s_1.npy"], TUM))
    assert [file.name for file in scans.files] == ["s_1.npy", "s_2.npy", "s_10.npy"]
    assert len(scans) == 3
    for _ in range(2):  # they can be gone through again
        assert [(scan.points[0, 0], scan.stamp) for scan in scans] == [(2, 10.0), (0, 10.1), (1, 10.2)]
    turned = list(scans)[1]
    np.testing.assert_allclose(turned.pose, [[0, -1, 0, 2], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]], atol=1e-12)
    assert turned.source == str(tmp_path / "s_2.npy")


def test_scans_named_by_stamps_get_the_nearest_pose(tmp_path: Path) -> None:
    scans = load_scans(scans_in(tmp_path, ["10.17.npy", "9.96.npy", "10.06.npy"], SHUFFLED, "run.tum"))
    assert [(scan.stamp, scan.pose[0, 3], scan.points[0, 0]) for scan in scans] == [
        (9.96, 1, 1),
        (10.06, 2, 2),
        (10.17, 3, 0),
    ]


def test_a_scan_too_far_from_every_pose_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"2 scans and .*run.tum 4 poses; 10.26.npy is 0.06 s from the nearest pose"):
        load_scans(scans_in(tmp_path, ["10.17.npy", "10.26.npy"], SHUFFLED, "run.tum"))


def test_numbered_scans_get_their_poses_by_order_and_stamps_stay_as_they_are(tmp_path: Path) -> None:
    scans = load_scans(scans_in(tmp_path, [f"00{k}.npy" for k in range(4)], SHUFFLED))
    assert [(scan.stamp, scan.pose[0, 3]) for scan in scans] == [(10.2, 3), (10.0, 1), (10.1, 2), (10.1, 9)]


def test_kitti_poses_have_times_of_their_own_or_none(tmp_path: Path) -> None:
    folder = scans_in(tmp_path, ["000000.bin", "000001.bin"], KITTI)
    scans = list(load_scans(folder))
    assert [scan.stamp for scan in scans] == [0.0, 0.1]
    assert scans[1].pose.tolist() == [[0, -1, 0, 8], [1, 0, 0, 9], [0, 0, 1, 10], [0, 0, 0, 1]]
    (folder / "times.txt").write_text("3.5\n\n3.25\n")
    assert [scan.stamp for scan in load_scans(folder)] == [3.5, 3.25]
    (folder / "times.txt").write_text("3.5\n")
    with pytest.raises(DataError, match=r"times.txt has 1 times for 2 poses"):
        load_scans(folder)


def test_points_left_out_of_a_scan_are_counted(tmp_path: Path) -> None:
    np.save(tmp_path / "0.npy", [[0, 0, 0], [np.nan, 0, 0]])
    (tmp_path / "poses.txt").write_text("0 0 0 0 0 0 0 1")
    (scan,) = load_scans(tmp_path)
    assert (len(scan.points), scan.dropped) == (1, {"not finite": 1})


@pytest.mark.parametrize(
    ("poses", "message"),
    [
        (TUM + "10.3 1 2 3 0 0 0\n", r"poses.txt:6: 7 values, where line 2 has 8"),
        ("1 2 3\n", r"poses.txt:1: 3 values; a pose has 8 \(TUM.* or 12"),
        (TUM + "10.3 1 2 x 0 0 0 1\n", r"poses.txt:6: .*'x'"),
        (TUM + "10.3 1 2 nan 0 0 0 1\n", r"poses.txt:6: a value is not finite"),
        (TUM + "10.3 1 2 3 0 0 0 0.98\n", r"poses.txt:6: a quaternion of norm 0.98, not 1"),
        (TUM + "10.3 1 2 3 0 0 0 0\n", r"poses.txt:6: a quaternion of norm 0, not 1"),
        (KITTI + "1 0 0 0 0 1 0 0 0 0 -1 0\n", r"poses.txt:3: .* no rotation, by 2"),
        (KITTI + "1 0 0 0 0 1 0 0 0 0.002 1 0\n", r"poses.txt:3: .* no rotation, by 0.002"),
        ("# nothing\n\n", "poses.txt holds no numbers"),
        (TUM + "10.3 1 2 3 0 0 0 1\n", "3 scans and .*poses.txt 4 poses"),
        (KITTI, "3 scans and .*poses.txt 2 poses. Give each"),
    ],
)
def test_bad_poses_are_an_error_with_file_and_line(tmp_path: Path, poses: str, message: str) -> None:
    folder = scans_in(tmp_path, ["a.npy", "b.npy", "c.npy"], poses)
    with pytest.raises(DataError, match=message):
        load_scans(folder)


def test_folders_and_files_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no folder"):
        load_scans(tmp_path / "none")
    with pytest.raises(DataError, match=r"holds no clouds, which end in .pcd, .ply"):
        load_scans(tmp_path)
    save_cloud(Cloud(np.zeros((1, 3))), tmp_path / "a.npy")
    with pytest.raises(DataError, match=r"has no file of poses, which is poses.txt, poses.tum, \*.tum"):
        load_scans(tmp_path)
    with pytest.raises(DataError, match=r"there is no file of poses .*given.txt"):
        load_scans(tmp_path, tmp_path / "given.txt")
    for name in ("a.tum", "b.tum"):
        (tmp_path / name).write_text(TUM)
    with pytest.raises(DataError, match=r"has 2 files of poses: .*a.tum, .*b.tum; name one"):
        load_scans(tmp_path)
    (tmp_path / "b.tum").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"b.tum:1: .* is not UTF-16 text"):
        load_scans(tmp_path, tmp_path / "b.tum")


def test_a_quaternion_of_few_digits_becomes_a_rotation(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("0 0 0 0 0.5 0.5 0.5 0.503\n")
    poses = read_poses(tmp_path / "p.txt")
    assert distortion(poses.matrices[:, :3, :3])[0] < 1e-12
    np.testing.assert_allclose(poses.matrices[0, :3, :3] @ [1, 0, 0], [0, 1, 0], atol=0.01)


@given(st.lists(st.floats(-1, 1), min_size=4, max_size=4).filter(lambda q: np.linalg.norm(q) > 0.1))
def test_quaternions_are_rotations_that_keep_their_axis(quaternion: list[float]) -> None:
    q = np.array([quaternion])
    turn = rotations(q)
    assert distortion(turn)[0] < 1e-12
    np.testing.assert_allclose(turn[0] @ q[0, :3], q[0, :3], atol=1e-12)
    half = math.atan2(float(np.linalg.norm(q[0, :3])), q[0, 3])
    assert np.trace(turn[0]) == pytest.approx(1 + 2 * math.cos(2 * half), abs=1e-12)
    np.testing.assert_array_equal(rotations(-q), turn)


def test_poses_by_hand() -> None:
    pose = pose_matrix(10, 20, 3, math.pi / 2)
    np.testing.assert_allclose(transform(np.array([[1.0, 0, 0], [0, 2, 5]]), pose), [[10, 21, 3], [8, 20, 8]])
    np.testing.assert_allclose(rotations(np.array([[0, 0, 1, 1.0]]))[0], LEFT, atol=1e-12)
    assert tilt(pose) == 0.0
    pose[:3, :3] = rotations(np.array([[math.sin(0.15), 0, 0, math.cos(0.15)]]))[0]
    assert tilt(pose) == pytest.approx(0.3)


def test_the_wrong_frame_is_told_by_its_points() -> None:
    flat = np.random.default_rng(0).uniform(-1, 1, (200, 3)) * (4, 4, 0.5)
    utm = transform(flat, pose_matrix(691_000, 5_334_000, 500))
    check_frame(flat, pose_matrix(691_000, 5_334_000, 500, 1.0))
    check_frame(utm, np.eye(4))
    check_frame(flat[:0], np.eye(4))
    with pytest.raises(DataError, match="over 5379 km from its sensor: the points seem to be in the world's"):
        check_frame(utm, pose_matrix(691_000, 5_334_000))
    camera = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    wall = flat * (0.1, 1, 1)
    check_frame(wall, np.eye(4))
    with pytest.raises(DataError, match=r"6\.\d m high but only 0\.\d m wide: z seems not to be up"):
        check_frame(wall, camera)
    check_frame(wall[:50], camera)
    for pose in (np.diag([1.0, 1, 2, 1]), np.diag([1.0, 1, -1, 1]), np.eye(3), np.full((4, 4), np.nan)):
        with pytest.raises(DataError, match=r"a pose is a finite \(4, 4\) matrix"):
            check_frame(flat, pose)
