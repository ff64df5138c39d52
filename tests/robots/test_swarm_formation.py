"""Formations: so many slots, so far apart, the same every time; letters that are whole; shapes with no clumps."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib import font_manager
from PIL import Image
from scipy.ndimage import label
from scipy.spatial import cKDTree

from espalier.core.errors import DataError, MissingExtraError
from espalier.robots.swarm.formation.config import Style
from espalier.robots.swarm.formation.even import Floats, evenly, shares, spaced, spacing
from espalier.robots.swarm.formation.image import image
from espalier.robots.swarm.formation.library import (
    FORMATIONS,
    cube,
    formation,
    grid,
    hexagon,
    line,
    octahedron,
    prism,
    ring,
)
from espalier.robots.swarm.formation.mesh import mesh, sampled
from espalier.robots.swarm.formation.text import text
from espalier.robots.swarm.formation.thin import thinned

STYLES: tuple[Style, ...] = ("stroke", "fill", "outline")


def check(slots: Floats, count: int, spacing_m: float) -> None:
    assert slots.shape == (count, 3)
    np.testing.assert_allclose(slots.mean(0), 0.0, atol=1e-9 * spacing_m * count)
    assert count < 2 or spacing(slots) == pytest.approx(spacing_m)


def unevenness(slots: Floats) -> float:
    """How many times farther apart the loneliest is than the two nearest."""
    apart = cKDTree(slots).query(slots, k=2)[0][:, 1]
    return float(apart.max() / apart.min())


def crowding(slots: Floats) -> float:
    """How many times farther apart the usual neighbours are than the two nearest."""
    apart = cKDTree(slots).query(slots, k=2)[0][:, 1]
    return float(np.median(apart) / apart.min())


@pytest.mark.parametrize("name", FORMATIONS)
@given(n=st.integers(1, 150), spacing_m=st.floats(0.1, 20))
@settings(max_examples=25, deadline=None)
def test_formations_have_so_many_slots_so_far_apart_about_the_origin(name: str, n: int, spacing_m: float) -> None:
    slots = formation(name, n, spacing_m)
    check(slots, n, spacing_m)
    np.testing.assert_array_equal(slots, formation(name, n, spacing_m))


def test_formations_by_hand() -> None:
    np.testing.assert_allclose(line(3, 2.0), [[0, -2, 0], [0, 0, 0], [0, 2, 0]])
    np.testing.assert_allclose(grid(4, 2.0), [[-1, -1, 0], [-1, 1, 0], [1, -1, 0], [1, 1, 0]])
    np.testing.assert_allclose(grid(3, 2.0), [[-2 / 3, -1, 0], [-2 / 3, 1, 0], [4 / 3, 0, 0]])
    np.testing.assert_allclose(np.sort(np.linalg.norm(hexagon(7, 2.0), axis=1)), [0, 2, 2, 2, 2, 2, 2], atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(ring(6, 2.0), axis=1), 2.0)
    np.testing.assert_allclose(np.abs(cube(8, 2.0)), 1.0)
    corners = octahedron(6, 2.0)
    np.testing.assert_allclose(np.linalg.norm(corners, axis=1), np.sqrt(2.0))
    assert (np.abs(corners).round(9) > 0).sum() == 6
    assert sorted(prism(6, 2.0)[:, 2].round(9).tolist()) == [-1, -1, -1, 1, 1, 1]
    assert np.unique(np.linalg.norm(prism(6, 2.0)[:, :2], axis=1).round(9)).size == 1


@pytest.mark.parametrize(
    ("name", "whole"), [("hexagon", 61), ("grid", 49), ("cube", 64), ("octahedron", 66), ("prism", 40)]
)
def test_whole_formations_have_all_their_slots_at_the_spacing(name: str, whole: int) -> None:
    assert unevenness(formation(name, whole, 3.0)) == pytest.approx(1.0)


def test_a_sphere_is_round_and_nearly_even() -> None:
    slots = formation("sphere", 200, 2.0)
    radius = np.linalg.norm(slots, axis=1)
    assert np.ptp(radius) < 0.02 * radius.mean()
    assert unevenness(slots) < 1.4


def test_a_name_that_is_none_and_numbers_that_are_none() -> None:
    with pytest.raises(DataError, match="no formation 'hexagone'; did you mean 'hexagon'"):
        formation("hexagone", 7, 2.0)
    for name in FORMATIONS:
        for n, spacing_m in ((0, 2.0), (-3, 2.0), (5, 0.0), (5, float("nan")), (5, float("inf"))):
            with pytest.raises(DataError, match=r"at least one slot, not|more than 0 m apart, not"):
                formation(name, n, spacing_m)


@given(st.integers(1, 60), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_even_points_are_candidates_and_none_are_in_a_clump(count: int, seed: int) -> None:
    candidates = np.random.default_rng(seed).random((60 * count, 2))
    points = evenly(candidates, count)
    assert points.shape == (count, 2)
    assert len(np.unique(points, axis=0)) == count
    assert (cKDTree(candidates).query(points)[0] == 0).all()
    assert count < 8 or spacing(points) > 0.6 / np.sqrt(count)


def test_even_points_on_a_segment_reach_its_ends() -> None:
    segment = np.stack([np.linspace(0, 10, 401), np.zeros(401)], -1)
    points = np.sort(evenly(segment, 11)[:, 0])
    np.testing.assert_allclose(points, np.arange(11), atol=0.15)
    assert (points[0], points[-1]) == (0.0, 10.0)


def test_every_part_has_its_share_and_one_at_least() -> None:
    assert shares(np.repeat([0, 1, 2], [60, 30, 1]), 10).tolist() == [6, 3, 1]
    parts = np.repeat([0, 1], [500, 3])
    candidates = np.concatenate(
        [np.random.default_rng(0).random((500, 2)), np.full((3, 2), 1.05) + np.eye(3, 2) * 1e-3]
    )
    points = evenly(candidates, 20, parts)
    assert (points > 1.0).all(1).sum() == 1
    with pytest.raises(DataError, match="5 points cannot show a shape of 6 parts"):
        evenly(np.random.default_rng(0).random((60, 2)), 5, np.repeat(np.arange(6), 10))
    with pytest.raises(DataError, match="9 points cannot show a shape of 1 parts and 8 candidates"):
        evenly(np.random.default_rng(0).random((8, 2)), 9)


def test_points_that_coincide_cannot_be_spaced() -> None:
    with pytest.raises(DataError, match="coincide"):
        spaced(np.array([[1.0, 2, 3], [1, 2, 3], [4, 5, 6]]), 2.0)
    np.testing.assert_array_equal(spaced(np.array([[5.0, 5]]), 2.0), [[0, 0]])


def test_thinning_by_hand() -> None:
    """A bar becomes a line, a ring stays a ring, a dot stays a dot."""
    mask = np.zeros((40, 60), bool)
    mask[3:8, 5:55] = True
    bar = thinned(mask)
    assert (bar.sum(0) <= 1).all()
    assert np.flatnonzero(bar.any(1)).tolist() == [5]
    assert bar.sum() >= 45
    y, x = np.mgrid[:41, :41] - 20
    around = np.hypot(x, y)
    ringed = thinned((around > 10) & (around < 16))
    assert np.abs(around[ringed] - 13).max() < 1.5
    assert label(~ringed)[1] == 2
    assert thinned(around < 5).sum() >= 1
    assert not thinned(np.zeros((4, 4), bool)).any()
    assert thinned(np.ones((2, 2), bool)).any()


def test_a_slanted_stroke_does_not_bend_into_its_corners() -> None:
    y, x = np.mgrid[:200, :120]
    lines = thinned((np.abs(x - 20 - 0.4 * y) < 12) & (y > 5) & (y < 195))
    rows, cols = np.nonzero(lines)
    assert np.abs(cols - 20 - 0.4 * rows).max() < 4.0
    assert np.ptp(rows) > 160


@given(st.integers(0, 10_000))
@settings(max_examples=100, deadline=None)
def test_thinning_keeps_what_is_connected_connected(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = np.zeros((40, 40), bool)
    for _ in range(6):
        row, col, high, wide = rng.integers([1, 1, 3, 3], [25, 25, 14, 14])
        mask[row : row + high, col : col + wide] = True
    lines, around = thinned(mask), np.ones((3, 3))
    assert not (lines & ~mask).any()
    assert label(lines, around)[1] == label(mask, around)[1]
    assert set(label(mask, around)[0][lines]) == set(range(1, label(mask, around)[1] + 1))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("words", "count"), [("FLIP", 60), ("i!", 40), ("Two\nlines", 150)])
def test_text_stands_upright_and_is_even(words: str, count: int, style: Style) -> None:
    slots = text(words, count, 1.5, style=style)
    check(slots, count, 1.5)
    assert (slots[:, 1] == 0).all()
    assert crowding(slots) < 1.6
    np.testing.assert_array_equal(slots, text(words, count, 1.5, style=style))


def near(slots: Floats, x: float, z: float) -> float:
    """Distance of a place, in shares of the drawing's width and height from its lower left, to the nearest slot, in
    shares of its height.
    """
    flat = slots[:, [0, 2]]
    low, size = flat.min(0), np.ptp(flat, axis=0)
    return float(np.linalg.norm(low + (x, z) * size - flat, axis=1).min() / size[1])


@pytest.mark.parametrize("count", [25, 60, 200])
def test_letters_are_whole(count: int) -> None:
    """L has an upright on the left and a foot below, and nothing in the upper right; T is not upside down; an O has a
    hole; both parts of an exclamation mark are there.
    """
    slots = text("L", count, 1.0)
    assert max(near(slots, *place) for place in ((0, 0), (0, 0.5), (0, 1), (0.5, 0), (1, 0))) < 0.12
    assert near(slots, 1, 1) > 0.4
    slots = text("T", count, 1.0)
    assert max(near(slots, *place) for place in ((0, 1), (0.5, 1), (1, 1), (0.5, 0.5), (0.5, 0))) < 0.12
    assert min(near(slots, 0, 0), near(slots, 1, 0)) > 0.3
    slots = text("O", count, 1.0)
    assert near(slots, 0.5, 0.5) > 0.35
    fill = text("O", 6 * count, 1.0, style="fill")
    assert near(fill, 0.5, 0.5) > 0.2
    outline = text("O", 2 * count, 1.0, style="outline")
    assert near(outline, 0.5, 0.5) > 0.2
    mark = text("!", count, 1.0)
    levels = np.sort(mark[:, 2])
    assert np.diff(levels).max() > 1.8 * np.median(np.diff(levels))
    assert np.diff(levels)[: count // 3].argmax() == np.diff(levels).argmax()


def test_letters_of_a_word_have_equal_shares_and_dollars_are_dollars() -> None:
    slots = text("HHHH", 80, 1.0)
    quarters = np.histogram(slots[:, 0], np.linspace(slots[:, 0].min(), slots[:, 0].max() + 1e-9, 5))[0]
    assert quarters.min() >= 18
    assert not np.array_equal(text("$x$", 60, 1.0), text("x", 60, 1.0))


def test_texts_and_fonts_that_there_are_not() -> None:
    with pytest.raises(DataError, match="nothing to see of the text '  '"):
        text("  ", 5, 1.0)
    with pytest.raises(DataError, match="has no '漢', '龍'"):
        text("漢a龍", 50, 1.0)
    with pytest.raises(DataError, match="no font 'Nowhere Grotesk'"):
        text("a", 5, 1.0, font="Nowhere Grotesk")
    with pytest.raises(DataError, match=r"no font 'none\.ttf'"):
        text("a", 5, 1.0, font="none.ttf")
    with pytest.raises(DataError, match="3 points cannot show a shape of 4 parts"):
        text("abcd", 3, 1.0)
    file = font_manager.findfont("DejaVu Serif")
    check(text("a", 30, 1.0, font=file), 30, 1.0)
    assert not np.array_equal(text("a", 30, 1.0, font=Path(file)), text("a", 30, 1.0))


def test_a_picture_by_hand(tmp_path: Path) -> None:
    """A dark square in the upper left of a bright picture, as a file, as grey and as flags; then the rest of it."""
    grey = np.full((40, 60), 250, np.uint8)
    grey[5:15, 10:20] = 10
    file = tmp_path / "square.png"
    Image.fromarray(grey).save(file)
    slots = image(file, 25, 2.0)
    check(slots, 25, 2.0)
    assert np.ptp(slots, axis=0).tolist() == pytest.approx([8, 0, 8], rel=0.2)
    np.testing.assert_array_equal(slots, image(grey, 25, 2.0))
    np.testing.assert_array_equal(slots, image(grey < 128, 25, 2.0))
    np.testing.assert_array_equal(slots, image(grey / 255.0, 25, 2.0))
    rest = image(grey, 200, 1.0, bright=True)
    assert np.ptp(rest[:, 0]) > np.ptp(rest[:, 2])
    assert near(rest, 15 / 60, 30 / 40) > 0.08
    assert near(rest, 45 / 60, 30 / 40) < 0.05
    check(image(grey, 30, 2.0, style="outline"), 30, 2.0)
    cut = np.dstack([np.zeros((40, 60, 3), np.uint8), np.where(grey < 128, 255, 0).astype(np.uint8)])
    Image.fromarray(cut).save(file)
    np.testing.assert_array_equal(slots, image(file, 25, 2.0))


def test_pictures_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("no picture")
    with pytest.raises(DataError, match=r"a\.png is no picture"):
        image(tmp_path / "a.png", 5, 1.0)
    with pytest.raises(DataError, match=r"no picture .*b\.png"):
        image(tmp_path / "b.png", 5, 1.0)
    with pytest.raises(DataError, match=r"not \(3, 3, 3\)"):
        image(np.zeros((3, 3, 3)), 5, 1.0)
    with pytest.raises(DataError, match="drawing is empty"):
        image(np.zeros((9, 9), bool), 5, 1.0)


MESHES: dict[str, Callable[[], trimesh.Trimesh]] = {
    "obj": lambda: trimesh.creation.box((4, 2, 1)),
    "stl": lambda: trimesh.creation.icosphere(radius=3.0),
    "ply": lambda: trimesh.creation.torus(3.0, 1.0),
}


@pytest.mark.parametrize("suffix", MESHES)
def test_meshes_are_covered_evenly(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"shape.{suffix}"
    shape = MESHES[suffix]()
    shape.export(file)
    slots = mesh(file, 120, 2.0)
    check(slots, 120, 2.0)
    assert unevenness(slots) < 1.8
    np.testing.assert_array_equal(slots, mesh(file, 120, 2.0))
    size = np.ptp(shape.vertices, axis=0)
    np.testing.assert_allclose(np.ptp(slots, axis=0) / np.ptp(slots, axis=0).max(), size / size.max(), atol=0.08)


def test_samples_of_triangles_go_by_area() -> None:
    triangles = np.array([[[0.0, 0, 0], [1, 0, 0], [0, 1, 0]], [[5.0, 0, 0], [8, 0, 0], [5, 1, 0]]])
    points = sampled(triangles, 400)
    assert len(points) == 406
    assert (points[:400, 0] < 2).sum() == 100
    inside = points[:100]
    assert (inside >= 0).all()
    assert (inside.sum(1) <= 1 + 1e-12).all()
    np.testing.assert_allclose(inside.mean(0), [1 / 3, 1 / 3, 0], atol=0.02)


def test_meshes_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match=r"no mesh .*none\.obj"):
        mesh(tmp_path / "none.obj", 5, 1.0)
    (tmp_path / "a.stl").write_text("nothing")
    with pytest.raises(DataError, match=r"a\.stl "):
        mesh(tmp_path / "a.stl", 5, 1.0)
    header = "element vertex 1\nproperty float x\nproperty float y\nproperty float z\nend_header"
    (tmp_path / "points.ply").write_text(f"ply\nformat ascii 1.0\n{header}\n1 2 3\n")
    with pytest.raises(DataError, match=r"points\.ply "):
        mesh(tmp_path / "points.ply", 5, 1.0)
    monkeypatch.setitem(sys.modules, "trimesh", None)
    with pytest.raises(MissingExtraError, match="trimesh"):
        mesh(tmp_path / "a.stl", 5, 1.0)
