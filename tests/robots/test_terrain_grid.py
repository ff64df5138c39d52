"""Frames, tiles, fusion and smoothing: what a cell knows stays with the cell."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espalier.core.errors import DataError
from espalier.robots.terrain.config import FusionConfig
from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.grid.fusion import blend, blurred, weigh
from espalier.robots.terrain.grid.smooth import smooth
from espalier.robots.terrain.grid.tiles import Tiles

FAR = st.integers(-100, 100)


def test_a_frame_by_hand() -> None:
    frame = Frame.around(1.0, -2.0, 1.0, 0.5)
    assert frame == Frame(0.5, -5, 1, 2, 2)
    assert frame.bounds == (0.5, -2.5, 1.5, -1.5)
    assert frame.centres().tolist() == [[0.75, -2.25], [1.25, -2.25], [0.75, -1.75], [1.25, -1.75]]
    assert frame.cells(np.array([[0.6, -1.6], [1.5, -2.5]])).tolist() == [[1, 0], [0, 2]]
    assert frame.inside(frame.cells(np.array([[0.6, -1.6], [1.5, -2.5]]))).tolist() == [True, False]
    assert Frame.covering(np.array([0.1, 0.1]), np.array([0.9, 1.1]), 0.5) == Frame(0.5, 0, 0, 3, 2)


@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.floats(0.05, 1.0))
def test_the_middle_of_a_cell_lies_in_it(x: float, y: float, cell: float) -> None:
    frame = Frame.around(x, y, 5 * cell, cell)
    rows, cols = np.divmod(np.arange(frame.rows * frame.cols), frame.cols)
    assert frame.cells(frame.centres()).tolist() == np.stack([rows, cols], -1).tolist()


@given(st.lists(st.tuples(FAR, FAR, st.integers(1, 70), st.integers(1, 70)), min_size=1, max_size=6), st.booleans())
@settings(max_examples=30, deadline=None)
def test_tiles_are_one_large_array(
    tmp_path_factory: pytest.TempPathFactory, frames: list[tuple[int, int, int, int]], small: bool
) -> None:
    """Whatever is written in whatever order, also with one tile in memory and the others on disk."""
    folder = tmp_path_factory.mktemp("tiles") if small else None
    tiles, world = (
        Tiles(0.1, "ab", keep=1 if small else 4096, folder=folder),
        np.full((2, 400, 400), np.nan, np.float32),
    )
    rng = np.random.default_rng(0)
    for row, col, rows, cols in frames:
        frame = Frame(0.1, row, col, rows, cols)
        here = (slice(None), slice(row + 150, row + 150 + rows), slice(col + 150, col + 150 + cols))
        cells = rng.normal(size=(2, rows, cols)).astype(np.float32)
        tiles.write(frame, cells)
        world[here] = cells
    for row, col, rows, cols in frames:
        here = (slice(None), slice(row + 150, row + 150 + rows), slice(col + 150, col + 150 + cols))
        np.testing.assert_array_equal(tiles.read(Frame(0.1, row, col, rows, cols)), world[here])
    extent = tiles.extent()
    assert extent is not None
    assert np.isfinite(tiles.read(extent)).sum() == np.isfinite(world).sum()


def test_tiles_come_back_from_their_folder_and_foreign_ones_are_refused(tmp_path: Path) -> None:
    frame = Frame(0.1, -40, 3, 50, 50)
    tiles = Tiles(0.1, "a", folder=tmp_path)
    tiles.write(frame, np.arange(2500, dtype=np.float32).reshape(1, 50, 50))
    tiles.flush()
    again = Tiles(0.1, "a", folder=tmp_path)
    np.testing.assert_array_equal(again.read(frame), tiles.read(frame))
    for cell, layers, message in ((0.2, "a", "cells of 0.1 m"), (0.1, "ab", "layers a;")):
        with pytest.raises(DataError, match=message):
            Tiles(cell, layers, folder=tmp_path)
    broken = sorted(tmp_path.glob("tile_*.npy"))
    kept = broken[0].read_bytes()
    for content, message in ((b"no array", "is no tile of a map"), (npy(np.zeros((3, 3))), "has the shape")):
        broken[0].write_bytes(content)
        with pytest.raises(DataError, match=message):
            Tiles(0.1, "a", folder=tmp_path).read(frame)
    broken[0].write_bytes(kept)
    again.clear()
    assert again.extent() is None
    assert not list(tmp_path.glob("tile_*"))
    np.testing.assert_array_equal(Tiles(0.1, "a", folder=tmp_path / "before-1").read(frame), tiles.read(frame))
    (tmp_path / "map.json").write_bytes(b"{\n\xff}")
    with pytest.raises(DataError, match=r"map.json:2: byte 0xff is not UTF-8"):
        Tiles(0.5, ("height",), folder=tmp_path)
    for content, message in (
        ("{}", "cell_m: Field required"),
        ('{"cell_m": "x"}', "cell_m: Input should be a"),
    ):
        (tmp_path / "map.json").write_text(content)
        with pytest.raises(DataError, match=rf"map.json: {message}"):
            Tiles(0.1, "a", folder=tmp_path)
    full = Tiles(0.1, "a")
    full.write(frame, np.zeros((1, 50, 50), np.float32))
    with pytest.raises(DataError, match="no folder"):
        full.flush()


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def one(value: float) -> np.ndarray:
    return np.full((1, 1), value)


def test_the_printed_rule_by_hand() -> None:
    """Variance 0.01 ten seconds ago: exp(-1) / 0.01 = 36.8 against 1."""
    rule = FusionConfig(rule="paper", decay_per_s=0.1)
    weights = weigh(one(0.01), one(0.04), one(10.0), rule)
    pull = np.exp(-1) / (0.01 + 1e-6)
    assert weights.old[0, 0] == pytest.approx(pull / (pull + 1))
    assert weights.variance[0, 0] == pytest.approx((np.exp(-1) * 0.01 + 0.04) / (np.exp(-1) + 1))
    assert weigh(one(0.004), one(0.004), one(0.0), rule).old > 0.99, "so the first estimate freezes"


def test_precision_weights_by_hand() -> None:
    rule = FusionConfig(decay_per_s=0.0, floor_share=0.01)
    weights = weigh(one(0.01), one(0.03), one(5.0), rule)
    assert weights.old[0, 0] == pytest.approx(0.75, abs=1e-4)
    assert weights.variance[0, 0] == pytest.approx(0.0075, rel=1e-3)
    assert blend(one(1.0), one(0.0), weights)[0, 0] == pytest.approx(0.75, abs=1e-4)
    assert weigh(one(1e-6), one(0.04), one(0.0), FusionConfig(floor_share=0.25)).variance[0, 0] == pytest.approx(0.01)


@given(st.floats(1e-4, 0.2), st.floats(1e-4, 0.2), st.floats(0, 100), st.sampled_from(["precision", "paper", "none"]))
def test_every_rule_keeps_between_the_two_and_forgets(before: float, now: float, age: float, rule: str) -> None:
    config = FusionConfig(rule=rule)
    weights = weigh(one(before), one(now), one(age), config)
    assert 0.0 <= weights.old[0, 0] <= 1.0
    assert weights.old[0, 0] + weights.new[0, 0] == pytest.approx(1.0)
    assert weights.variance[0, 0] > 0.0
    assert weigh(one(before), one(now), one(age + 10), config).old[0, 0] <= weights.old[0, 0]


def test_what_was_not_known_does_not_count() -> None:
    for rule in ("precision", "paper", "none"):
        weights = weigh(one(np.nan), one(0.04), one(np.nan), FusionConfig(rule=rule))
        assert (weights.old[0, 0], weights.new[0, 0], weights.variance[0, 0]) == (0.0, 1.0, 0.04)
        assert blend(one(np.nan), one(2.0), weights)[0, 0] == 2.0


def test_blur_by_hand() -> None:
    assert blurred(one(0.01), one(0.2), FusionConfig(blur_m=0.2))[0, 0] == pytest.approx(0.04)


def test_an_impulse_is_smoothed_into_a_bell_near_it_and_nothing_elsewhere() -> None:
    layer = np.zeros((41, 41))
    layer[20, 20] = 1.0
    found = smooth(layer, 1.0)
    assert found.sum() == pytest.approx(1.0, abs=1e-6)
    assert found[20, 20] == found.max() == pytest.approx(1 / (2 * np.pi), rel=0.03)
    assert found[20, 21] / found[20, 20] == pytest.approx(np.exp(-0.5), rel=1e-6)
    assert found[0, 0] == 0.0


@given(st.integers(0, 100), st.floats(0.1, 3.0))
@settings(max_examples=20, deadline=None)
def test_smoothing_keeps_constants_bounds_and_what_is_unknown(seed: int, sigma: float) -> None:
    rng = np.random.default_rng(seed)
    layer = rng.random((15, 12))
    unknown = rng.random(layer.shape) < 0.4
    layer[unknown] = np.nan
    found = smooth(layer, sigma)
    np.testing.assert_array_equal(np.isnan(found), unknown)
    assert np.nanmin(found) >= np.nanmin(layer) - 1e-9
    assert np.nanmax(found) <= np.nanmax(layer) + 1e-9
    assert smooth(np.where(unknown, np.nan, 7.0), sigma)[~unknown] == pytest.approx(7.0)
