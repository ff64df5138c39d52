"""Formations as they are typed, and their slots as files."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import label

from espalier.core.errors import DataError
from espalier.robots.swarm.fleet.config import FlightConfig
from espalier.robots.swarm.formation.config import ImageShape, MeshShape, PointsShape, TextShape
from espalier.robots.swarm.formation.make import make_formation
from espalier.robots.swarm.formation.mesh import _triangles
from espalier.robots.swarm.formation.words import shape_of
from espalier.robots.swarm.show.slots import measures, save_slots
from espalier.robots.swarm.world.config import FloorPlanConfig
from espalier.robots.swarm.world.make import make_world

TEAL = (11, 122, 117)


def test_the_slots_of_a_formation_to_files_and_back(tmp_path: Path) -> None:
    slots = make_formation("ring", 12, 1.5)
    for name in ("a.csv", "a.json", "a.npy", "new/a.png"):
        save_slots(slots, tmp_path / name)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), slots)
    np.testing.assert_allclose(np.loadtxt(tmp_path / "a.csv", delimiter=",", skiprows=1)[:, 1:], slots, atol=1e-6)
    found = json.loads((tmp_path / "a.json").read_text())
    assert (found["n"], found["least_m"]) == (12, pytest.approx(1.5))
    assert found["slots"] == slots.tolist()
    picture = np.asarray(Image.open(tmp_path / "new" / "a.png"))
    assert label((np.abs(picture.astype(int) - TEAL) < 12).all(-1))[1] == 12
    with pytest.raises(DataError, match=r"a.svg: a formation cannot be written as that"):
        save_slots(slots, tmp_path / "a.svg")
    save_slots(np.zeros((1, 3)), tmp_path / "one.json")
    assert json.loads((tmp_path / "one.json").read_text())["least_m"] is None


def test_measures_of_a_formation() -> None:
    found = measures(np.array([[0.0, 0, 0], [3, 4, 0], [3, 4, 1]]))
    assert found == ((3.0, 4.0, 1.0), 1.0)


def test_formations_as_they_are_typed() -> None:
    assert shape_of("cube") == "cube"
    assert shape_of("text:A B") == TextShape(words="A B")
    assert shape_of(r"text:A:\nB", "fill") == TextShape(words="A:\nB", style="fill")
    assert shape_of("image:a.png") == ImageShape(file=Path("a.png"))
    assert shape_of("image:a.png", "outline") == ImageShape(file=Path("a.png"), style="outline")
    assert shape_of("mesh:a.stl") == MeshShape(file=Path("a.stl"))


@pytest.mark.parametrize(
    ("typed", "style", "message"),
    [
        ("hexagn", None, "there is no formation 'hexagn'; did you mean 'hexagon'"),
        ("text", None, "there is no formation 'text'; did you mean 'text:'"),
        ("txt:A", None, "no kind 'txt' of formation; did you mean 'text'"),
        ("text:", None, "nothing follows the colon; give words"),
        ("mesh:", None, "nothing follows the colon; give a file"),
        ("cube", "fill", "'cube' has no style; texts and images have"),
        ("mesh:a.stl", "fill", "has no style"),
    ],
)
def test_what_is_wrong_with_a_formation_is_named(typed: str, style: str | None, message: str) -> None:
    with pytest.raises(DataError, match=message):
        shape_of(typed, style)


def test_slots_of_a_file_are_those_that_were_written(tmp_path: Path) -> None:
    slots = make_formation("hexagon", 7, 2.0) + np.array([3.0, 4.0, 5.0])
    for name in ("a.csv", "a.npy"):
        save_slots(slots, tmp_path / name)
        found = make_formation(shape_of(f"points:{tmp_path / name}"), 7, 9.0)
        np.testing.assert_allclose(found, slots - slots.mean(0), atol=1e-6)
    act = {"at_s": 1, "shape": r"text:A\nB", "goal": (0, 0, 9)}
    config = FlightConfig.of(n=7, shape=f"points:{tmp_path / 'a.csv'}", acts=[act])
    assert config.shape == PointsShape(file=tmp_path / "a.csv")
    assert config.acts[0].shape == TextShape(words="A\nB")


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.csv", "x,y\n1,2\n", r"a\.csv:1: this line names no columns x, y and z"),
        ("a.csv", "x,y,z\n1,2,3\n1,2,up\n", r"a\.csv:3: 'up' is no finite number"),
        ("a.csv", "x,y,z\n1,2,3\n1,2\n", r"a\.csv:3: 2 values, where the first line names 3"),
        ("a.csv", "x,y,z\n1,2,3\n", "holds 1 places for 2 vehicles; set n: 1"),
        ("a.csv", "x,y,z\n1,2,nan\n1,2,3\n", r"a\.csv:2: 'nan' is no finite number"),
        ("a.csv", "x;y;z\n1,5;2;3\n1;2;3\n", r"a\.csv:2: '1,5' is no finite number; write a point"),
        ("a.csv", "x,y,z,X\n1,2,3,4\n1,2,3,4\n", "once each"),
        ("a.csv", 'x,y,z\n"1,2,3\n1,2,3\n', r"a\.csv:2: unexpected end of data"),
        ("a.npy", "x,y,z", "is no NPY file"),
        ("b.csv", None, "there is no file"),
    ],
)
def test_a_file_of_points_that_is_wrong_is_named(tmp_path: Path, name: str, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=says):
        make_formation(PointsShape(file=tmp_path / name), 2, 1.0)


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfx,y,z\r\n1,2,3\r\n3,2,1\r\n",
        "x,y,z\n1,2,3\n3,2,1\n".encode("utf-16"),
        b"Slot;X;Z;Y\r0;1;3;2\r1;3;1;2",
        b'"name"\t"z"\t"y"\t"x"\n\n"a, b"\t"3"\t"2"\t"1"\nb\t1\t2\t3\n \n',
        b"x  y  z\n1 2 3\n3   2 1\n",
    ],
)
def test_a_file_of_points_may_come_from_anywhere(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    made = make_formation(PointsShape(file=tmp_path / "a.csv"), 2, 1.0)
    assert made.tolist() == [[-1.0, 0.0, 1.0], [1.0, 0.0, -1.0]]


TENT = "v 0 0 0\nv 4 0 0\nv 4 3 0\nv 0 3 0\nv 2 1 2\nf 1 2 5\nf 2//1 3//1 5//1\nf 1/1 2/2 3/3 4\nf -5 -4 -1\n"
LOOP = "facet normal 0 0 1\nouter loop\nvertex 0 0 0\nvertex 4 0 0\nvertex 0 3 0\nendloop\nendfacet\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_mesh_of_text_may_come_from_anywhere(tmp_path: Path, encoding: str, end: str) -> None:
    """Areas by hand: 5 and twice the square root of 22.25 / 2 of the tent's sides, and its floor of 12."""
    for name, content, count in (("a.obj", TENT, 5), ("a.stl", f"solid a\n{LOOP}endsolid a\n", 1)):
        (tmp_path / name).write_bytes(content.replace("\n", end).encode(encoding))
        triangles = _triangles(tmp_path / name)
        assert triangles.shape == (count, 3, 3)
        sides = triangles[:, 1:] - triangles[:, :1]
        areas = np.linalg.norm(np.cross(sides[:, 0], sides[:, 1]), axis=-1) / 2
        if name == "a.obj":
            assert areas[2:4].tolist() == [6.0, 6.0], "the floor is cut in two"
            assert areas[0] == areas[4] == pytest.approx(2 * np.sqrt(5))
        assert areas.max() == 6.0
        assert make_formation(MeshShape(file=tmp_path / name), 5, 1.0).shape == (5, 3)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.obj", "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 4\n", r"a\.obj:4: '4' is none of the 3 vertices so far"),
        ("a.obj", "v 0 0 0\nf 1 2 0\n", r"a\.obj:2: '2' is none of the 1 vertices"),
        ("a.obj", "v 0 0 nan\n", r"a\.obj:1: 'nan' is no finite number"),
        ("a.obj", "v 0 0\n", r"a\.obj:1: a vertex of 2 numbers"),
        ("a.obj", "v 0 0 0\nv 1 0 0\nf 1 2\n", r"a\.obj:3: a face of 2 corners"),
        ("a.obj", "v 0 0 0\n", r"a\.obj has no surface"),
        ("a.stl", f"solid a\n{LOOP}", r"a\.stl does not end with 'endsolid'"),
        ("a.stl", f"solid a\n{LOOP}".replace("vertex 4 0 0\n", ""), r"a\.stl:6: before 'endloop' there are not 3"),
        ("a.stl", f"solid a\n{LOOP}".replace("4 0 0", "4 x 0"), r"a\.stl:5: 'x' is no finite number"),
        ("a.stl", f"solid a\n{LOOP}".replace("outer", "other"), r"a\.stl:3: 'other' is no word of STL"),
    ],
)
def test_a_mesh_of_text_that_is_wrong_is_named_by_line(tmp_path: Path, name: str, content: str, says: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=says):
        make_formation(MeshShape(file=tmp_path / name), 2, 1.0)


def test_a_picture_that_says_it_is_huge_is_not_believed(tmp_path: Path) -> None:
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    parts = [(b"IHDR", head), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    chunks = [struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in parts]
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    with pytest.raises(DataError, match=r"a\.png.* (too large|no picture that can be read)"):
        make_formation(ImageShape(file=tmp_path / "a.png"), 2, 1.0)
    with pytest.raises(DataError, match=r"a\.png.* (too large|no picture that can be read)"):
        make_world(FloorPlanConfig(file=tmp_path / "a.png"))
