"""Meshes."""

from __future__ import annotations

import struct
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
    named,
    spaced,
)
from oracle import Open, Reader

from espalier.robots.swarm.formation.mesh import _triangles

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


READERS = [MESH, STL, STL_AS_TEXT, PLY_MESH]
