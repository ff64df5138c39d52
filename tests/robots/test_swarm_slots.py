"""Formations as they are typed, and their slots as files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import label

from espalier.core.errors import DataError
from espalier.robots.swarm.fleet.config import FlightConfig
from espalier.robots.swarm.formation.config import ImageShape, MeshShape, PointsShape, TextShape
from espalier.robots.swarm.formation.make import make_formation
from espalier.robots.swarm.formation.words import shape_of
from espalier.robots.swarm.show.slots import measures, save_slots

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
