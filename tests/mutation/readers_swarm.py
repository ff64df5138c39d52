"""Slots, pictures, meshes and flights."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import reference as plainly
from mutators import (
    BINARY,
    ENCODINGS,
    LINE_ENDS,
    NEUTRAL_TEXT,
    OTHER_TEXT,
    bad_byte,
    blank_after,
    cut,
    mistyped,
    named,
    quoted,
    ragged,
    reordered,
    spaced,
)
from oracle import Open, Reader

from espalier.robots.swarm.fleet.message import Message, decode, encode
from espalier.robots.swarm.fleet.recording import ARRAYS, Recording
from espalier.robots.swarm.fleet.roster import Allotment
from espalier.robots.swarm.formation.image import _read
from espalier.robots.swarm.formation.mesh import _triangles
from espalier.robots.swarm.formation.points import points
from espalier.robots.swarm.traj.trajectory import Trajectory
from espalier.robots.swarm.world.config import FloorPlanConfig
from espalier.robots.swarm.world.loaders import _shades
from espalier.robots.swarm.world.world import World

SLOTS = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, 2.0], [3.0, 4.0, 1e-3], [-2.0, 0.0, 0.0], [7.0, 7.5, 8.0]])


def _slots_csv(folder: Path) -> Path:
    file = folder / "slots.csv"
    rows = [f"{k},{x},{y},{z}" for k, (x, y, z) in enumerate(SLOTS.tolist())]
    file.write_text("\n".join(["slot,x,y,z", *rows]) + "\n")
    return file


def _slots_reference(file: Path) -> Any:
    rows = [line for line in plainly.text(file).split("\n") if line.strip()]
    separator = next((each for each in ",;\t" if each in rows[0]), None)
    if all(re.fullmatch(r'( *"[^",]*" *,?)+', row) for row in rows):
        rows = [row.replace('"', "") for row in rows]
    if any('"' in row for row in rows):
        raise Open
    cells = [[cell.strip() for cell in row.split(separator)] for row in rows]
    head = [name.lower() for name in cells[0]]
    if any(len(row) != len(head) for row in cells) or len(cells) != 6 or len(set(head)) < len(head):
        raise ValueError("ragged")
    found = np.array([[plainly.real(row[head.index(axis)]) for axis in "xyz"] for row in cells[1:]])
    return found - found.mean(0)


def _cased(content: bytes, _: Any) -> Any:
    return content.replace(b"slot,x,y,z", b"Slot, X,Y ,Z"), None


def _separated(separator: bytes) -> Any:
    return named(f"separator {separator!r}", lambda content, _: (content.replace(b",", separator), None))


CSV = Reader(
    "swarm/slots.csv",
    _slots_csv,
    lambda file: points(file, 5),
    _slots_reference,
    (
        *NEUTRAL_TEXT,
        blank_after,
        quoted,
        reordered(),
        named("header's case", _cased),
        _separated(b";"),
        _separated(b"  "),
        _separated(b"\t"),
    ),
    (
        bad_byte,
        ragged(b","),
        mistyped(b",", (1, 2, 3)),
        named("not finite", lambda content, _: (content.replace(b"0.25", b"nan"), 3)),
    ),
    OTHER_TEXT,
)


def _slots_npy(folder: Path) -> Path:
    np.save(folder / "slots.npy", SLOTS)
    return folder / "slots.npy"


def _npy_reference(file: Path) -> Any:
    found = plainly.npy(file.read_bytes())
    if found.shape != SLOTS.shape or not np.isfinite(found.astype(float)).all():
        raise ValueError(found)
    if found.dtype.kind not in "fiu":
        raise Open
    return found.astype(float) - found.astype(float).mean(0)


NPY = Reader("swarm/slots.npy", _slots_npy, lambda file: points(file, 5), _npy_reference, (), (cut,), BINARY)


def _picture(folder: Path) -> Path:
    pixels = np.full((12, 16), 255, np.uint8)
    pixels[3:9, 2:7] = 0
    pixels[5, 9:14] = np.arange(0, 250, 50)
    packed = zlib.compress(np.pad(pixels, ((0, 0), (1, 0))).tobytes())
    head = struct.pack(">IIBBBBB", 16, 12, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", packed), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return folder / "picture.png"


def _halved(content: bytes, rng: Any) -> Any:
    """Cut within the pixels."""
    return content[: rng.randrange(20, len(content) - 30)], None


PICTURES = [
    Reader("swarm/picture.png", _picture, lambda file: _read(file)[0], plainly.png, (), (_halved,), BINARY),
    Reader(
        "swarm/floor plan.png",
        _picture,
        lambda file: _shades(FloorPlanConfig(file=file)),
        lambda file: plainly.png(file) / 255.0,
        (),
        (_halved,),
        BINARY,
    ),
]

OBJ = """# a tent
o tent
v 0 0 0
v 4.0 0 0.0
v 4 3 0
v 0 3 0
v 2.0 1.5 2.5
vn 0 0 1
f 1 2 5
f 2//1 3//1 5//1
f 3 4 5
f 4/1 1/1 5/1
f 1 2 3 4
f -5 -4 -1
"""


def _obj(folder: Path) -> Path:
    (folder / "tent.obj").write_text(OBJ)
    return folder / "tent.obj"


def _corners(triangles: Any) -> Any:
    """Sorted, as the order of triangles and of their corners says nothing."""
    return sorted(sorted(map(tuple, triangle)) for triangle in np.asarray(triangles).tolist())


def _obj_reference(file: Path) -> Any:
    vertices: list[tuple[float, ...]] = []
    triangles = []
    for words in plainly.rows(file, comment="#"):
        if words[0] == "v":
            if len(words) not in (4, 5, 7, 8):
                raise ValueError(words)
            vertices.append(tuple(map(plainly.real, words[1:4])))
        elif words[0] == "f":
            ends = [plainly.whole(word.split("/")[0]) for word in words[1:]]
            if len(ends) < 3 or not all(1 <= abs(end) <= len(vertices) for end in ends):
                raise ValueError(words)
            fan = [vertices[end - 1 if end > 0 else end] for end in ends]
            triangles += [(fan[0], fan[k], fan[k + 1]) for k in range(1, len(fan) - 1)]
        elif words[0] not in ("o", "g", "s", "vn", "vt", "vp", "l", "p", "usemtl", "mtllib"):
            raise Open
    sides = np.array(triangles)[:, 1:] - np.array(triangles)[:, :1]
    if not np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=-1).any():
        raise ValueError("no surface")
    if any("\\" in line for line in plainly.text(file)) or any("/" in w for ws in plainly.rows(file) for w in ws[:1]):
        raise Open
    return _corners(triangles)


def _slashed(content: bytes, rng: Any) -> Any:
    at = rng.randrange(8, 14)
    lines = content.split(b"\n")
    lines[at] = lines[at].rpartition(b" ")[0] + rng.choice((b" 99", b" 0", b" x", b" -9", b""))
    if (
        len(lines[at].split()) > 3
        and lines[at].count(b" ") == 3
        and lines[at].split()[-1].isdigit()
        and lines[at].startswith(b"f 1 2 3")
    ):
        return None
    return b"\n".join(lines), at + 1


MESH = Reader(
    "swarm/mesh.obj",
    _obj,
    lambda file: _corners(_triangles(file)),
    _obj_reference,
    (*ENCODINGS, *LINE_ENDS, blank_after),
    (bad_byte, named("corner that is not there", _slashed)),
    OTHER_TEXT,
)


def _stl(folder: Path) -> Path:
    triangles = np.array([[[0, 0, 0], [4, 0, 0], [2, 1, 2]], [[4, 0, 0], [4, 3, 0], [2, 1, 2]]], "<f4")
    body = b"".join(np.zeros(3, "<f4").tobytes() + triangle.tobytes() + b"\0\0" for triangle in triangles)
    (folder / "tent.stl").write_bytes(b"\0" * 80 + struct.pack("<I", len(triangles)) + body)
    return folder / "tent.stl"


def _stl_reference(file: Path) -> Any:
    content = file.read_bytes()
    if len(content) != 84 + 50 * int.from_bytes(content[80:84], "little"):
        raise ValueError("size")
    rows = np.frombuffer(content[84:], np.dtype([("normal", "<f4", 3), ("at", "<f4", (3, 3)), ("more", "<u2")]))["at"]
    sides = (rows[:, 1:] - rows[:, :1]).astype(float)
    areas = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=-1)
    if not np.isfinite(areas).all() or not areas.any():
        raise ValueError("no surface")
    return _corners(rows.astype(float))


STL = Reader("swarm/mesh.stl", _stl, lambda file: _corners(_triangles(file)), _stl_reference, (), (cut,), BINARY)

STL_TEXT = """solid tent
facet normal 0 0 0
outer loop
vertex 0 0 0
vertex 4 0 0
vertex 2 1 2.5
endloop
endfacet
facet normal 0 0 0
outer loop
vertex 4 0 0
vertex 4 3 0
vertex 2 1 2.5
endloop
endfacet
endsolid tent
"""


def _stl_text(folder: Path) -> Path:
    (folder / "tent.stl").write_text(STL_TEXT)
    return folder / "tent.stl"


def _stl_text_reference(file: Path) -> Any:
    rows = plainly.rows(file)
    kinds, sound = [words[0] for words in rows], [line.split()[0] for line in STL_TEXT.splitlines()]
    if kinds != sound:
        raise ValueError(kinds) if not set(kinds) <= set(sound) or kinds[-1] != "endsolid" else Open
    vertices = [words[1:] for words in rows if words[0] == "vertex"]
    if any(len(vertex) != 3 for vertex in vertices):
        raise ValueError(vertices)
    places = np.array([[plainly.real(word) for word in vertex] for vertex in vertices])
    triangles = places.reshape(-1, 3, 3)
    sides = triangles[:, 1:] - triangles[:, :1]
    if not np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=-1).any():
        raise ValueError("no surface")
    return _corners(triangles)


def _vertex(content: bytes, rng: Any) -> Any:
    """A number less, a word in its place, or a vertex less."""
    lines = content.split(b"\n")
    at = rng.choice([k for k, line in enumerate(lines) if line.startswith(b"vertex")])
    words = lines[at].split()
    match rng.randrange(3):
        case 0:
            lines[at] = b" ".join(words[:-1])
        case 1:
            lines[at] = b" ".join([*words[:-1], b"x"])
        case _:
            del lines[at]
            return b"\n".join(lines), None
    return b"\n".join(lines), at + 1


STL_AS_TEXT = Reader(
    "swarm/mesh as text.stl",
    _stl_text,
    lambda file: _corners(_triangles(file)),
    _stl_text_reference,
    (*NEUTRAL_TEXT, blank_after, spaced),
    (bad_byte, named("vertex", _vertex)),
    OTHER_TEXT,
)

PLY = """ply
format ascii 1.0
element vertex 4
property float x
property float y
property float z
element face 2
property list uchar int vertex_indices
end_header
0 0 0
4 0 0
4 3 0
2 1 2
3 0 1 3
3 1 2 3
"""


def _ply(folder: Path) -> Path:
    (folder / "tent.ply").write_text(PLY)
    return folder / "tent.ply"


PLY_MESH = Reader(
    "swarm/mesh.ply",
    _ply,
    lambda file: _corners(_triangles(file)),
    None,
    LINE_ENDS[:1],
    (named("rows gone", lambda content, rng: (content[: content.index(b"0 0 0") + rng.randrange(1, 30)], None)),),
    OTHER_TEXT,
)


def _flight(folder: Path) -> Path:
    times, n = np.arange(3) / 2, 2
    flags = np.zeros((3, n), bool)
    occupancy = np.zeros((2, 2, 2), bool)
    occupancy[0] = True
    Recording(
        times,
        np.arange(18.0).reshape(3, n, 3),
        np.tile(np.arange(n), (3, 1)),
        np.zeros(3, np.int64),
        np.ones((1, n, 3)),
        np.zeros((1, 3)),
        flags,
        flags,
        World.of_occupancy(occupancy, np.zeros(3), 0.5),
    ).save(folder / "flight.npz")
    return folder / "flight.npz"


def _recorded(file: Path) -> Any:
    found = Recording.load(file)
    return {name: getattr(found, name) for name in ARRAYS}


def _flight_reference(file: Path) -> Any:
    arrays = plainly.npz(file)
    if set(arrays) != {*ARRAYS, "occupancy", "origin", "cell_m"}:
        raise KeyError(set(arrays))
    return {name: arrays[name] for name in ARRAYS}


FLIGHT = Reader("swarm/flight.npz", _flight, _recorded, _flight_reference, (), (cut,), BINARY)


def _message(folder: Path) -> Path:
    path = Trajectory(np.arange(36.0).reshape(2, 6, 3), np.array([1.0, 2.0]), 0.5)
    said = Message(1, 0.25, path, 2, Allotment(1, 0, np.array([1, 0, 2, -1], np.int64)))
    (folder / "message").write_bytes(encode(said))
    return folder / "message"


def _intact(file: Path) -> Any:
    content = file.read_bytes()
    if zlib.crc32(content[:-4]) != int.from_bytes(content[-4:], "little"):
        raise ValueError("checksum")
    return decode(content, 4)


MESSAGE = Reader(
    "swarm/message", _message, lambda file: decode(file.read_bytes(), 4), _intact, (), (cut,), BINARY, names_file=False
)
READERS = [CSV, NPY, *PICTURES, MESH, STL, STL_AS_TEXT, PLY_MESH, FLIGHT, MESSAGE]
