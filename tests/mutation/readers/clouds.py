"""Clouds: text, binary and compressed."""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import reference as plainly
from mutators import (
    BINARY,
    LINE_ENDS,
    MARK,
    OTHER_TEXT,
    cut,
    mistyped,
    named,
    ragged,
)
from oracle import Open, Reader

from espalier.core.errors import DataError
from espalier.robots.terrain.cloud.cloud import Cloud
from espalier.robots.terrain.cloud.columns import cloud_of
from espalier.robots.terrain.cloud.load import FORMATS, save_cloud

POINTS = np.array([[1.5, -2.25, 0.5], [4.0, 5.0, 6.5], [-7.0, 8.5, -9.0], [0.5, 0.25, 2.0]])
TEXT_PCD = """# .PCD v.7 - Point Cloud Data file format
VERSION .7
FIELDS x y z intensity
SIZE 4 4 4 4
TYPE F F F F
COUNT 1 1 1 1
WIDTH 4
HEIGHT 1
VIEWPOINT 0 0 0 1 0 0 0
POINTS 4
DATA ascii
"""
TEXT_PLY = """ply
format ascii 1.0
comment made by hand
element vertex 4
property float x
property float y
property float z
property float intensity
end_header
"""
ROWS = "".join(f"{x} {y} {z} {k / 4}\n" for k, (x, y, z) in enumerate(POINTS.tolist()))


def _columns(file: Path) -> Any:
    """x, y and z as the format's reader gives them; a cloud is made of them too, which may refuse it but no worse."""
    columns = FORMATS[file.suffix].read(file)
    try:
        cloud_of(columns, file)
    except DataError as error:
        if not set("xyz") <= set(columns):
            raise
        if str(file) not in str(error):
            raise AssertionError("does not name the file") from error
    return {axis: np.asarray(columns[axis], np.float64) for axis in "xyz"}


def _cloud(name: str, header: str = "") -> Any:
    def make(folder: Path) -> Path:
        if header:
            (folder / name).write_text(header + ROWS)
        else:
            save_cloud(Cloud(POINTS, fields={"intensity": np.arange(4, dtype=np.float32)}), folder / name)
        return folder / name

    return make


def _axes(rows: Any) -> Any:
    return dict(zip("xyz", np.asarray(rows, np.float64).T, strict=False))


def _rows(body: bytes, count: int) -> list[list[float]]:
    rows = [words for words in map(bytes.split, body.splitlines()) if words][:count]
    if any(b"_" in word for words in rows for word in words):
        raise ValueError("_")
    return [[float(word) for word in words] for words in rows]


PCD_LINES = {"VERSION", "FIELDS", "SIZE", "TYPE", "COUNT", "WIDTH", "HEIGHT", "VIEWPOINT", "POINTS"}
KINDS = {"F4": "<f4", "F8": "<f8", **{f"{k}{n}": f"<{k.lower()}{n}" for k in "IU" for n in (1, 2, 4, 8)}}


def _pcd_reference(file: Path) -> Any:
    head, _, body = file.read_bytes().partition(b"DATA ")
    lines = [line.split() for line in head.decode("latin-1").split("\n") if line.split() and not line.startswith("#")]
    words = {line[0]: line[1:] for line in lines}
    if (
        set(words) != {"VERSION", "FIELDS", "SIZE", "TYPE", "COUNT", "WIDTH", "HEIGHT", "VIEWPOINT", "POINTS"}
        or len(lines) != 9
    ):
        raise Open  # a header of another version
    if not head.isascii():
        raise Open
    names, kind, body = words["FIELDS"], *body.partition(b"\n")[::2]
    types = [KINDS[letter + size] for letter, size in zip(words["TYPE"], words["SIZE"], strict=True)]
    if len(words["COUNT"]) != len(names) or not "".join(words["POINTS"]).isdigit():
        raise ValueError("counts")
    if set(words["COUNT"]) != {"1"} or len(names) != len(set(names)) or len(words["POINTS"]) != 1:
        raise Open
    count, dtype = plainly.whole(words["POINTS"][0]), np.dtype(list(zip(names, types, strict=True)))
    if kind.strip() == b"ascii":
        rows = _rows(body, count)
        if len(rows) < count or not rows or any(len(row) != len(names) for row in rows):
            raise ValueError("rows")
        return _axes(np.array(rows)[:, [names.index(axis) for axis in "xyz"]])
    found = np.frombuffer(body[: count * dtype.itemsize], dtype)
    if kind.strip() != b"binary" or len(found) != count or not count:
        raise ValueError("cut")
    return _axes(np.stack([found[axis].astype(np.float64) for axis in "xyz"], -1))


def _line_gone(content: bytes, rng: Any) -> Any:
    """A point fewer than the header promises."""
    return content.rstrip(b"\n").rpartition(b"\n")[0] + b"\n", None


def _more(content: bytes, rng: Any) -> Any:
    """More points promised than there are."""
    for key in (b"POINTS 4", b"vertex 4"):
        content = content.replace(key, key + b"0")
    return content, None


HEADER_WORDS = (b"F F F F", b"4 4 4 4", b"FIELDS x", b"float x", b"format ascii", b"element vertex")


def _header_word(content: bytes, rng: Any) -> Any:
    old = rng.choice([word for word in HEADER_WORDS if word in content])
    return content.replace(old, rng.choice((b"Q", b"F F", b"-1", b"", b"99999999999999999999"))), None


def _ply_reference(file: Path) -> Any:
    head, _, body = file.read_bytes().partition(b"end_header")
    lines = [line.split() for line in re.split("\r\n?|\n", head.decode("latin-1"))]
    if lines[:1] != [["ply"]] or not body[:1].isspace():
        raise Open
    said = [line for line in lines[1:] if line and line[0] not in ("comment", "obj_info")]
    if [line[0] for line in said] != ["format", "element", *["property"] * 4] or said[1][1] != "vertex":
        raise Open
    if not said[1][2].isdigit():
        raise ValueError(said[1])
    names, count, body = [line[2] for line in said[2:]], int(said[1][2]), body.partition(b"\n")[2]
    kinds = {"float": "<f4", "double": "<f8", "float32": "<f4"}
    if any(line[1] not in kinds for line in said[2:]):
        raise Open
    if said[0][1:] == ["ascii", "1.0"]:
        rows = _rows(body, count)
        if len(rows) < count or not count or any(len(row) != len(names) for row in rows):
            raise ValueError("rows")
        return {axis: np.array(rows)[:, names.index(axis)] for axis in "xyz"}
    if said[0][1:] != ["binary_little_endian", "1.0"]:
        raise Open
    dtype = np.dtype([(line[2], kinds[line[1]]) for line in said[2:]])
    found = np.frombuffer(body[: count * dtype.itemsize], dtype)
    if len(found) != count:
        raise ValueError("cut")
    return {axis: found[axis].astype(np.float64) for axis in "xyz"}


def _las_reference(file: Path) -> Any:
    content = file.read_bytes()
    (start,) = struct.unpack_from("<I", content, 96)
    kind, length = struct.unpack_from("<BH", content, 104)
    if (
        content[:4] != b"LASF"
        or content[24:26] != b"\1\4"
        or content[94:96] != b"\x77\1"
        or (kind, length) != (6, 30)
        or start < 375
    ):
        raise Open
    (count,) = struct.unpack_from("<Q", content, 247)
    if len(content) < start + count * length:
        raise ValueError("cut")
    legacy, records = struct.unpack_from("<I", content, 107)[0], struct.unpack_from("<I", content, 100)[0]
    if legacy or records or any(content[235:247]) or len(content) != start + count * length or start != 375:
        raise Open
    scales, offsets = np.frombuffer(content[131:155], "<f8"), np.frombuffer(content[155:179], "<f8")
    if not (np.isfinite(scales).all() and np.isfinite(offsets).all()) or not count:
        raise Open
    raw = np.frombuffer(content[start:], np.uint8).reshape(count, length)[:, :12].copy().view("<i4")
    return _axes(raw * scales + offsets)


def _bin_reference(file: Path) -> Any:
    content = file.read_bytes()
    if len(content) % 16 or not content:
        raise ValueError("size")
    if len(content) % 20 == 0:
        raise Open  # five numbers a point
    return _axes(np.frombuffer(content, "<f4").reshape(-1, 4)[:, :3])


def _npy_cloud(folder: Path) -> Path:
    np.save(folder / "cloud.npy", POINTS)
    return folder / "cloud.npy"


def _npy_reference(file: Path) -> Any:
    found = plainly.npy(file.read_bytes())
    if found.ndim != 2 or found.shape[1] < 3:
        raise ValueError(found.shape)
    if found.shape[1] > 3 or found.dtype.kind == "b":
        raise Open
    return _axes(found)


def _npz_reference(file: Path) -> Any:
    return _axes(plainly.npz(file)["points"])


TEXT_CLOUD = (*LINE_ENDS[:1], MARK)
DAMAGED = (named("a point gone", _line_gone), named("more promised", _more), named("header", _header_word))
ROW = (ragged(b" ", 12), mistyped(b" ", (0, 1, 2, 3), 11))
CLOUDS = [
    Reader(
        "terrain/ascii.pcd",
        _cloud("a.pcd", TEXT_PCD),
        _columns,
        _pcd_reference,
        TEXT_CLOUD,
        (*DAMAGED, *ROW),
        OTHER_TEXT,
    ),
    Reader(
        "terrain/binary.pcd",
        _cloud("b.pcd"),
        _columns,
        _pcd_reference,
        (),
        (cut, named("more promised", _more)),
        BINARY,
    ),
    Reader(
        "terrain/ascii.ply",
        _cloud("a.ply", TEXT_PLY),
        _columns,
        _ply_reference,
        TEXT_CLOUD,
        (*DAMAGED, ragged(b" ", 10), mistyped(b" ", (0, 1, 2, 3), 9)),
        OTHER_TEXT,
    ),
    Reader(
        "terrain/binary.ply",
        _cloud("b.ply"),
        _columns,
        _ply_reference,
        (),
        (cut, named("more promised", _more)),
        BINARY,
    ),
    Reader("terrain/cloud.las", _cloud("c.las"), _columns, _las_reference, (), (cut,), BINARY),
    Reader("terrain/cloud.laz", _cloud("c.laz"), _columns, None, (), (cut,), BINARY),
    Reader("terrain/cloud.npy", _npy_cloud, _columns, _npy_reference, (), (cut,), BINARY),
    Reader("terrain/cloud.npz", _cloud("c.npz"), _columns, _npz_reference, (), (cut,), BINARY),
    Reader("terrain/cloud.bin", _cloud("c.bin"), _columns, _bin_reference, (), (), BINARY),
]

READERS = CLOUDS
