"""Clouds that are broken, cut short or of another format: each is an error that says so, and no other error."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from cloud_files import OLD_PCD, ROWS, TEXT_PCD, TEXT_PLY, WARM, write
from hypothesis import given, settings
from hypothesis import strategies as st

from espalier.core.errors import DataError, MissingExtraError
from espalier.robots.terrain.cloud.cloud import Cloud
from espalier.robots.terrain.cloud.load import FORMATS, load_cloud, save_cloud


def saved(folder: Path, name: str) -> bytes:
    """The content of a good file of that name."""
    save_cloud(Cloud(ROWS), folder / name)
    return (folder / name).read_bytes()


def packed(size: int, unpacked: int) -> bytes:
    """A compressed PCD file of three points with four bytes of data, which promises these sizes."""
    return OLD_PCD.replace("binary", "binary_compressed").encode() + struct.pack("<II", size, unpacked) + b"\xff" * 4


def npy(folder: Path, array: np.ndarray) -> bytes:
    np.save(folder / "made.npy", array)
    return (folder / "made.npy").read_bytes()


BAD: dict[str, tuple[str, Callable[[Path, bytes], bytes | str], str]] = {
    "pcd cut short": (
        ".pcd",
        lambda _, good: good[:-1],
        r"holds \d+ bytes where its header promises \d+: it was cut sh",
    ),
    "pcd text cut short": (".pcd", lambda *_: TEXT_PCD[:-5], r"a.pcd:14: 5 values, not 6"),
    "pcd text a line short": (".pcd", lambda *_: TEXT_PCD[:-19], "2 points where its header promises 3"),
    "pcd text no number": (".pcd", lambda *_: TEXT_PCD.replace("8.5", "8,5"), r"a.pcd:14: .*8,5"),
    "pcd without z": (".pcd", lambda *_: TEXT_PCD.replace("x y z", "x y w"), "no field 'z'; it has x, y, w, intensity"),
    "pcd unknown type": (
        ".pcd",
        lambda *_: TEXT_PCD.replace("SIZE 4 4 4", "SIZE 4 2 4"),
        "a.pcd:5: .* 'y' .* F of 2 by",
    ),
    "pcd unknown encoding": (
        ".pcd",
        lambda *_: TEXT_PCD.replace("DATA ascii", "DATA asci"),
        "a.pcd:11: .*mean 'ascii'",
    ),
    "pcd too few sizes": (".pcd", lambda *_: TEXT_PCD.replace("SIZE 4", "SIZE"), "a.pcd:4: 4 values for 5 fields"),
    "pcd names twice": (".pcd", lambda *_: TEXT_PCD.replace("x y z", "x x z"), "a.pcd:3: a field is named twice"),
    "pcd negative": (".pcd", lambda *_: TEXT_PCD.replace("POINTS 3", "POINTS -3"), "a.pcd:10: POINTS is '-3'"),
    "pcd long": (".pcd", lambda *_: TEXT_PCD.replace("POINTS 3", "POINTS " + "3" * 5000), "a.pcd:10: POINTS is '3333"),
    "pcd wide": (
        ".pcd",
        lambda *_: TEXT_PCD.replace("1 2 1\n", "1 99999999999 1\n"),
        "a.pcd:6: .* longer than the file",
    ),
    "pcd empty": (".pcd", lambda *_: TEXT_PCD.replace("POINTS 3", "POINTS 0"), "holds no points"),
    "pcd all nan": (
        ".pcd",
        lambda *_: OLD_PCD.encode() + np.full(9, np.nan, "<f4").tobytes(),
        "none of its 3 points is fi",
    ),
    "pcd garbage": (".pcd", lambda *_: bytes(range(256)) * 9, "no line DATA in its header: it is no PCD file"),
    "pcd bad packing": (".pcd", lambda *_: packed(4, 36), "cannot be read as PCD"),
    "pcd packed short": (".pcd", lambda *_: packed(40, 36), "was cut short"),
    "pcd packed other": (".pcd", lambda *_: packed(4, 35), "unpack to 35 bytes where its header promises 36"),
    "ply cut short": (".ply", lambda _, good: good[:-1], "was cut short"),
    "ply text row": (".ply", lambda *_: TEXT_PLY.replace("4 5 6 8", "4 5 6"), r"a.ply:16: 3 values, not 4"),
    "ply text short": (".ply", lambda *_: TEXT_PLY[: TEXT_PLY.index("-7")], "2 points where its header promises 3"),
    "ply type": (".ply", lambda *_: TEXT_PLY.replace("float y", "flaot y"), r"a.ply:8: 'y' .* 'flaot'; .*'float'"),
    "ply header": (".ply", lambda *_: TEXT_PLY.partition("element face")[0], r"no line 'end_header'"),
    "ply line": (".ply", lambda *_: TEXT_PLY.replace("property float x", "proprety float x"), r"a.ply:7: .*proprety"),
    "ply without vertices": (".ply", lambda *_: TEXT_PLY.replace("vertex", "vortex"), "no element 'vertex'"),
    "ply long": (".ply", lambda *_: TEXT_PLY.replace("vertex 3", "vertex " + "3" * 5000), "a.ply:6: .*not understood"),
    "ply empty": (".ply", lambda *_: TEXT_PLY.replace("vertex 3", "vertex 0"), "holds no points"),
    "ply lists": (".ply", lambda *_: TEXT_PLY.replace("uchar red", "list uchar int red"), "have the list 'red'"),
    "ply garbage": (".ply", lambda *_: b"\x00" * 99, "does not begin with 'ply'"),
    "las cut short": (".las", lambda _, good: good[:-1], "was cut short"),
    "laz cut short": (".laz", lambda _, good: good[:-40], "was cut short"),
    "laz broken": (
        ".laz",
        lambda _, good: good[:247] + struct.pack("<Q", 40_000) + good[255:],
        "cannot be read as LAS",
    ),
    "laz too many": (
        ".laz",
        lambda _, good: good[:247] + struct.pack("<Q", 10**9) + good[255:],
        "holds 50000 points where",
    ),
    "laz layer": (".laz", lambda _, good: good[:514] + b"\xcc" + good[515:], "was cut short"),
    "laz chunk": (
        ".laz",
        lambda _, good: good.replace(struct.pack("<I", 50_000), struct.pack("<I", 4 * 10**9)),
        "promises chunks of 4000000000 points",
    ),
    "laz chunks": (".laz", lambda _, good: good[:579] + b"\x7f" + good[580:], "was cut short"),
    "las header": (".las", lambda _, good: good[:150], "was cut short"),
    "las records": (".las", lambda _, good: good[:100] + b"\xff" * 4 + good[104:], "was cut short"),
    "las empty": (".las", lambda _, good: good[:247] + b"\x00" * 8 + good[255:], "holds no points"),
    "las garbage": (".las", lambda *_: b"fasl" * 99, "does not begin with 'LASF'"),
    "las format": (".las", lambda _, good: good[:104] + b"\x3f" + good[105:], "cannot be read as LAS"),
    "bin cut short": (".bin", lambda _, good: good[:-3], "45 bytes, which is no multiple of 16"),
    "bin empty": (".bin", lambda *_: b"", "holds no points"),
    "npy cut short": (".npy", lambda _, good: good[:-8], "cannot be read as NumPy's format"),
    "npy flat": (".npy", lambda folder, _: npy(folder, np.zeros(7)), r"of shape \(7,\); \(n, 3\)"),
    "npy objects": (".npy", lambda folder, _: npy(folder, np.array([[1, None, "x"]], object)), "cannot be read"),
    "npy words": (".npy", lambda folder, _: npy(folder, np.array([["a", "b", "c"]])), "'x' is of the type <U1"),
    "npy without x": (".npy", lambda folder, _: npy(folder, np.zeros(2, [("a", "f4")])), "no field 'x'; it has a"),
    "npz cut short": (".npz", lambda _, good: good[:-30], "cannot be read as NumPy's format"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_file_is_an_error_that_names_it(tmp_path: Path, case: str) -> None:
    suffix, spoil, message = BAD[case]
    content = spoil(tmp_path, saved(tmp_path, f"good{suffix}"))
    with pytest.raises(DataError, match=message) as caught:
        load_cloud(write(tmp_path, f"a{suffix}", content))
    assert f"a{suffix}" in str(caught.value)


def test_a_wrong_name_is_an_error(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", point=ROWS)
    (tmp_path / "folder.pcd").mkdir()
    for name, message in {
        "none.pcd": "there is no cloud",
        "a.pdc": r"the suffix '\.pdc'; did you mean '\.pcd'\?",
        "folder.pcd": "is a folder; load_scans",
        "a.npz": r"no array 'points'; did you mean 'point'\?",
    }.items():
        with pytest.raises(DataError, match=message):
            load_cloud(tmp_path / name)


@pytest.mark.parametrize(
    ("suffix", "name", "values", "message"),
    [
        (".pcd", "flag", np.array([True, False, True]), "PCD has no type bool for the field 'flag'"),
        (".ply", "id", np.array([1, 2, 3], np.int64), "PLY has no type int64 for the field 'id'"),
        (".ply", "two words", WARM, "cannot be named 'two words'"),
        (".npz", "points", WARM, "cannot be named 'points'"),
    ],
)
def test_what_a_format_cannot_hold_is_an_error(
    tmp_path: Path, suffix: str, name: str, values: np.ndarray, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        save_cloud(Cloud(ROWS, fields={name: values}), tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("suffix", "module", "package"),
    [(".pcd", "pypcd4.pypcd4", "pypcd4"), (".las", "laspy", "laspy"), (".laz", "lazrs", "lazrs")],
)
def test_a_missing_package_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, module: str, package: str
) -> None:
    saved(tmp_path, f"a{suffix}")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"'{package}': pip install 'espalier\[robots\]'"):
        load_cloud(tmp_path / f"a{suffix}")


def test_an_empty_cloud_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a.las: a cloud without points is not written"):
        save_cloud(Cloud(np.zeros((0, 3))), tmp_path / "a.las")


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_no_damage_raises_anything_but_our_error(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = tmp_path_factory.mktemp("damage")
    suffix = data.draw(st.sampled_from(list(FORMATS)))
    content = bytearray(saved(folder, f"good{suffix}"))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    file = write(folder, f"a{suffix}", content[: data.draw(st.integers(0, len(content)))])
    with suppress(DataError):
        assert np.isfinite(load_cloud(file).points).all()
