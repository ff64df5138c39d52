"""Readers of clouds: layouts that a file does not name, marks and line ends, and a thousand mutants of each format."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from pathlib import Path

import laspy
import numpy as np
import pytest
from cloud_files import OLD_PCD, ROWS, TEXT_PCD, TEXT_PLY, write

from espalier.core.errors import DataError, EspalierError
from espalier.robots import terrain
from espalier.robots.terrain.cloud.cloud import Cloud
from espalier.robots.terrain.cloud.load import FORMATS, load_cloud, save_cloud
from espalier.robots.terrain.cloud.poses import read_poses
from espalier.robots.terrain.export.save import load_map
from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.grid.terrain_map import TerrainMap

RNG = np.random.default_rng(0)
SCAN = (RNG.normal(0, 8, (4000, 3)) * (1, 1, 0.02) - (0, 0, 1.7)).astype("<f4")
WARM, RING = RNG.uniform(0, 1, 4000).astype("<f4"), RNG.integers(0, 32, 4000).astype("<f4")


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ((SCAN,), []),
        ((SCAN, WARM), ["intensity"]),
        ((SCAN, 0 * WARM), ["intensity"]),
        ((SCAN, 255 * WARM), ["intensity"]),
        ((SCAN, WARM, RING), ["intensity", "ring"]),
    ],
)
@pytest.mark.parametrize("count", [4000, 999])
def test_the_layout_of_raw_floats_is_told_by_its_columns(
    tmp_path: Path, columns: tuple[np.ndarray, ...], names: list[str], count: int
) -> None:
    rows = np.column_stack(columns)[:count]
    cloud = load_cloud(write(tmp_path, "a.bin", rows.tobytes()))
    assert (list(cloud.fields), cloud.points.tolist()) == (names, rows[:, :3].astype(float).tolist())
    for cut in (3, 4, 4 * rows.shape[1] + 8):  # the last leaves whole points of another layout, now and then
        with pytest.raises(DataError, match=r"a.bin has \d+ bytes, which is no multiple of"):
            load_cloud(write(tmp_path, "a.bin", rows.tobytes()[:-cut]))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (SCAN.astype("<f8"), "does it hold float64"),
        (SCAN.astype(">f4"), "another order of bytes"),
        (
            np.column_stack([SCAN, SCAN[:, 0] + 90, WARM, RING]),
            "seems to hold 6 numbers a point; x y z; x y z intensity;",
        ),
        (RNG.normal(0, 1, (4000, 3)).astype("<f4"), "its numbers do not tell"),
    ],
)
def test_raw_files_of_other_content_are_refused(tmp_path: Path, content: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load_cloud(write(tmp_path, "a.bin", content.astype(content.dtype, copy=False).tobytes()))


def test_arrays_that_are_transposed_are_refused(tmp_path: Path) -> None:
    for width in (3, 4, 6):
        np.save(tmp_path / "a.npy", np.zeros((width, 50)))
        with pytest.raises(DataError, match=rf"shape \({width}, 50\), which looks transposed"):
            load_cloud(tmp_path / "a.npy")
    with pytest.raises(DataError, match=r"looks transposed: give its \.T"):
        terrain.build(SCAN.T)


def las(file: Path, version: str = "1.4", point_format: int = 6) -> Path:
    made = laspy.LasData(laspy.LasHeader(point_format=point_format, version=version))
    made.xyz = SCAN[:100].astype(float)
    made.classification = np.repeat([7, 18, 2], [5, 4, 91]).astype(np.uint8)
    made.write(file)
    return file


@pytest.mark.parametrize(("version", "point_format"), [("1.4", 6), ("1.2", 1)])
def test_points_that_las_calls_noise_are_dropped(tmp_path: Path, version: str, point_format: int) -> None:
    cloud = load_cloud(las(tmp_path / "a.las", version, point_format))
    assert (len(cloud), cloud.dropped) == (91, {"noise by their class": 9})
    save_cloud(Cloud(ROWS, fields={"Classification": np.array([2, 18, 7], np.float32)}), tmp_path / "a.ply")
    assert load_cloud(tmp_path / "a.ply").dropped == {"noise by their class": 2}
    save_cloud(Cloud(ROWS, fields={"withheld": np.ones(3, np.uint8)}), tmp_path / "a.pcd")
    with pytest.raises(DataError, match=r"none of its 3 points is usable \(3 noise by their class\)"):
        load_cloud(tmp_path / "a.pcd")


@pytest.mark.parametrize("start", [0, 2**60])
def test_an_empty_table_of_long_records_may_begin_anywhere(tmp_path: Path, start: int) -> None:
    content = bytearray(las(tmp_path / "a.las").read_bytes())
    struct.pack_into("<QI", content, 235, start, 0)
    assert len(load_cloud(write(tmp_path, "b.las", content))) == 91
    struct.pack_into("<QI", content, 235, 2**60, 1)
    with pytest.raises(DataError, match="was cut short"):
        load_cloud(write(tmp_path, "b.las", content))


@pytest.mark.parametrize(("name", "text"), [("a.pcd", TEXT_PCD), ("a.ply", TEXT_PLY)])
def test_marks_encodings_and_line_ends_change_nothing(tmp_path: Path, name: str, text: str) -> None:
    right = load_cloud(write(tmp_path, name, text))
    lines = text.splitlines()
    same: list[bytes] = [text.encode("utf-8-sig"), text.encode("utf-16"), text.encode("utf-32")]
    same += ["\r\n".join(lines).encode(), "\r".join(lines).encode(), ("\n".join(lines) + "\n\n").encode()]
    for content in same:
        cloud = load_cloud(write(tmp_path, name, content))
        np.testing.assert_array_equal(cloud.points, right.points)
        assert cloud.fields.keys() == right.fields.keys()


def test_poses_take_marks_and_name_lines(tmp_path: Path) -> None:
    line = "0.5 1 2 3 0 0 0 1"
    for content in (line.encode("utf-16"), line.encode("utf-8-sig"), f"{line}\r# a\x0bb\r".encode()):
        assert read_poses(write(tmp_path, "p.txt", content)).matrices[0, :3, 3].tolist() == [1, 2, 3]
    for bad, where in ((f"{line}\n1_0 1 2 3 0 0 0 1", "p.txt:2"), (f"{line}\n\xff".encode("latin-1"), "p.txt:2")):
        with pytest.raises(DataError, match=where):
            read_poses(write(tmp_path, "p.txt", bad))


def test_columns_of_other_orders_are_the_same_points(tmp_path: Path) -> None:
    swapped = OLD_PCD.replace("x y z", "z x y").encode() + ROWS[:, [2, 0, 1]].astype("<f4").tobytes()
    assert load_cloud(write(tmp_path, "a.pcd", swapped)).points.tolist() == ROWS.tolist()


HUGE = 10**12


def test_headers_that_promise_too_much_are_refused_before_there_is_a_place_for_it(tmp_path: Path) -> None:
    packed = OLD_PCD.replace("binary", "binary_compressed").replace("WIDTH 3", f"WIDTH {2**32 // 12}")
    header = {"descr": "<f8", "fortran_order": False, "shape": (HUGE, 3)}
    with (tmp_path / "a.npy").open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
    contents: dict[str, bytes | str] = {
        "a.pcd": OLD_PCD.replace("WIDTH 3", f"WIDTH {HUGE}"),
        "b.pcd": packed.encode() + struct.pack("<II", 4, 2**32 // 12 * 12) + b"\xff" * 4,
        "c.pcd": TEXT_PCD.replace("POINTS 3", f"POINTS {HUGE}"),
        "a.ply": TEXT_PLY.replace("vertex 3", f"vertex {HUGE}"),
        "a.npy": (tmp_path / "a.npy").read_bytes(),
    }
    for name, content in contents.items():
        with pytest.raises(DataError, match=rf"{name}.*( promises|cannot unpack|:19: 5 values)"):
            load_cloud(write(tmp_path, name, content))


def reference(suffix: str, content: bytes) -> np.ndarray:
    """x, y, z of the finite points, by the shortest reader of what `originals` writes."""
    if suffix == ".bin":
        rows = np.frombuffer(content, "<f4").reshape(-1, 4)[:, :3]
    elif suffix == ".npy":
        start = 10 + int.from_bytes(content[8:10], "little")
        header = eval(content[10:start])
        rows = np.frombuffer(content, header["descr"], math.prod(header["shape"]), start).reshape(
            header["shape"], order="F" if header["fortran_order"] else "C"
        )[:, :3]
    else:
        head, body = content.split(b"DATA binary\n", 1)
        words = {line.split()[0]: line.split()[1:] for line in head.splitlines() if line.split()}
        kinds = zip(words[b"TYPE"], words[b"SIZE"], strict=True)
        names = [name.decode("latin-1") for name in words[b"FIELDS"]]
        kind = np.dtype(
            [(name, f"<{t.decode().lower()}{s.decode()}") for name, (t, s) in zip(names, kinds, strict=True)]
        )
        count = int(words[b"POINTS"][0]) if b"POINTS" in words else int(words[b"WIDTH"][0]) * int(words[b"HEIGHT"][0])
        data = np.frombuffer(body, kind, count)
        rows = np.stack([data[name] for name in "xyz"], 1)
    return rows[np.isfinite(rows.astype(float)).all(1)].astype(float)


def mutant(content: bytes, rng: np.random.Generator) -> bytes:
    """A few bytes changed, cut out, doubled or put in."""
    out = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        at, length = int(rng.integers(0, max(len(out), 1))), int(rng.integers(1, 9))
        match rng.integers(0, 5):
            case 0:
                out[at : at + 1] = bytes([rng.integers(0, 256)])
            case 1:
                del out[at : at + length]
            case 2:
                out[at:at] = out[at : at + length]
            case 3:
                out[at:at] = rng.bytes(length)
            case _:
                del out[at:]
    return bytes(out)


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_thousand_mutants_are_read_right_or_refused(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(1)
    save_cloud(Cloud(ROWS, fields={"intensity": np.arange(3, dtype=np.float32)}), tmp_path / f"good{suffix}")
    good = (tmp_path / f"good{suffix}").read_bytes()
    file = tmp_path / f"a{suffix}"
    told: list[str] = []
    for _ in range(1000):
        content = mutant(good, rng)
        file.write_bytes(content)
        try:
            found = load_cloud(file).points
        except EspalierError as error:
            told.append(str(error))
            continue
        assert np.isfinite(found).all()
        if suffix == ".bin":
            np.testing.assert_array_equal(found, reference(suffix, content))
    assert all(file.name in message for message in told)
    assert len(told) > 200


@pytest.mark.parametrize("suffix", [".pcd", ".npy"])
def test_what_is_read_of_mutants_is_what_a_short_reader_reads(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(2)
    save_cloud(Cloud(ROWS), tmp_path / f"good{suffix}")
    good, read = (tmp_path / f"good{suffix}").read_bytes(), 0
    body = len(good) - 3 * 3 * (4 if suffix == ".pcd" else 8)
    for _ in range(300):
        content = bytearray(good)
        content[rng.integers(body, len(good))] = rng.integers(0, 256)
        try:
            found = load_cloud(write(tmp_path, f"a{suffix}", content)).points
        except DataError:
            continue
        np.testing.assert_array_equal(found, reference(suffix, bytes(content)))
        read += 1
    assert read > 200


def kept_map(folder: Path, name: str) -> bytes:
    layers = {"elevation": np.ones((3, 4), np.float32), "observed": np.ones((3, 4), np.float32)}
    return TerrainMap(Frame(0.5, 2, 3, 3, 4), layers).save(folder / name).read_bytes()


def kept_poses(folder: Path, name: str) -> bytes:
    return write(folder, name, "0.5 1 2 3 0 0 0 1\n0.6 1 2 3 0 0 0 1\n").read_bytes()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # of GDAL's log
@pytest.mark.parametrize(
    ("name", "make", "read"),
    [("a.npz", kept_map, load_map), ("a.tif", kept_map, load_map), ("a.txt", kept_poses, read_poses)],
)
def test_mutants_of_maps_and_poses_are_read_or_refused(
    tmp_path: Path, name: str, make: Callable[[Path, str], bytes], read: Callable[[Path], object]
) -> None:
    rng = np.random.default_rng(3)
    good = make(tmp_path, name)
    told: list[str] = []
    for _ in range(1000):
        try:
            read(write(tmp_path, name, mutant(good, rng)))
        except EspalierError as error:
            told.append(str(error))
    assert all(name in message for message in told)
    assert len(told) > 200
