"""Files of poses, maps and their tiles."""

from __future__ import annotations

from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import reference as plainly
from mutators import (
    BINARY,
    NEUTRAL_TEXT,
    OTHER_TEXT,
    bad_byte,
    blank_after,
    cut,
    mistyped,
    ragged,
    spaced,
    value_of,
)
from oracle import Open, Reader

from espalier.robots.terrain.cloud.poses import read_poses
from espalier.robots.terrain.export.geotiff import GeoTiffConfig, load_geotiff, save_geotiff
from espalier.robots.terrain.export.npz import FRAME, load_npz, save_npz
from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.grid.terrain_map import TerrainMap
from espalier.robots.terrain.grid.tiles import SIDE, Tiles

TUM = "# stamp tx ty tz qx qy qz qw\n0.5 1 2 3 0 0 0 1\n0.75 1.5 2.5 3.5 0 0 0.6 0.8\n1.25 -1 0 1e-1 0.6 0 0 -0.8\n"
KITTI = "1 0 0 5 0 1 0 6 0 0 1 7\n0 -1 0 0.5 1 0 0 0.25 0 0 1 -1\n"


def _poses(name: str, content: str, times: str = "") -> Any:
    def make(folder: Path) -> Path:
        (folder / "kitti.txt").write_text(KITTI)
        if times:
            (folder / "times.txt").write_text(times)
        (folder / name).write_text(content)
        return folder / name

    return make


def _rows(file: Path, *widths: int) -> Any:
    rows = [[plainly.real(word) for word in words] for words in plainly.rows(file, comment="#")]
    if len(rows[0]) not in widths or any(len(row) != len(rows[0]) for row in rows):
        raise ValueError("ragged")
    return np.array(rows)


def _tum_reference(file: Path) -> Any:
    rows = _rows(file, 8, 12)
    if rows.shape[1] == 12:
        raise Open
    norm = np.linalg.norm(rows[:, 4:], axis=1)
    if (abs(norm - 1) > 0.01).any():
        raise ValueError("norm")
    return [rows[:, 0], rows[:, 1:4]]


def _kitti_reference(file: Path) -> Any:
    matrices = _rows(file, 12).reshape(-1, 3, 4)
    turn = matrices[:, :, :3]
    off = np.maximum(abs(turn @ turn.swapaxes(1, 2) - np.eye(3)).max((1, 2)), abs(np.linalg.det(turn) - 1))
    if (off > 1e-3).any():
        raise ValueError("no rotation")
    return [np.arange(len(matrices)) * 0.1, matrices[:, :, 3]]


def _posed(file: Path) -> Any:
    found = read_poses(file)
    return [found.stamps, found.matrices[:, :3, 3]]


def _times_reference(file: Path) -> Any:
    rows = _rows(file, 1)
    if len(rows) != 2:
        raise ValueError("count")
    return rows.ravel()


POSE_TEXT = (*NEUTRAL_TEXT, blank_after, spaced)
POSES = [
    Reader(
        "terrain/poses.tum",
        _poses("poses.tum", TUM),
        _posed,
        _tum_reference,
        POSE_TEXT,
        (bad_byte, ragged(b" ", 2), mistyped(b" ", range(8))),
        OTHER_TEXT,
    ),
    Reader(
        "terrain/poses.txt",
        _poses("poses.txt", KITTI),
        _posed,
        _kitti_reference,
        POSE_TEXT,
        (bad_byte, mistyped(b" ", range(12), 0)),
        OTHER_TEXT,
    ),
    Reader(
        "terrain/times.txt",
        _poses("times.txt", "0.5\n0.625\n", "0"),
        lambda file: read_poses(file.parent / "kitti.txt").stamps,
        _times_reference,
        (*NEUTRAL_TEXT, blank_after),
        (bad_byte, mistyped(b" ", (0,), 0)),
        OTHER_TEXT,
    ),
]

MAP = TerrainMap(
    Frame(0.5, -3, 4, 3, 5),
    {
        name: np.arange(15, dtype=np.float32).reshape(3, 5) + k
        for k, name in enumerate(("elevation", "cost", "observed"))
    },
)


def _map_npz(folder: Path) -> Path:
    save_npz(MAP, folder / "map.npz")
    return folder / "map.npz"


def _mapped(found: TerrainMap) -> Any:
    frame = found.frame
    return [frame.cell_m, frame.row, frame.col, dict(found.layers)]


def _map_reference(file: Path) -> Any:
    arrays = plainly.npz(file)
    numbers = [arrays.pop(name).item() for name in FRAME]
    if "observed" not in arrays or len({layer.shape for layer in arrays.values()}) != 1:
        raise Open
    return [*numbers, arrays]


def _map_tif(folder: Path) -> Path:
    save_geotiff(MAP, folder / "map.tif", GeoTiffConfig(compress=False))
    return folder / "map.tif"


TILE = np.arange(SIDE * SIDE, dtype=np.float32).reshape(1, SIDE, SIDE)


def _tiles(name: str) -> Any:
    def make(folder: Path) -> Path:
        tiles = Tiles(0.5, ("height",), folder=folder)
        tiles.write(Frame(0.5, 0, 0, SIDE, SIDE), TILE)
        tiles.flush(2.5)
        return folder / name

    return make


def _tiled(file: Path) -> Any:
    tiles = Tiles(0.5, ("height",), folder=file.parent)
    return [tiles.time, tiles.read(Frame(0.5, 0, 0, SIDE, SIDE))]


def _tile_reference(file: Path) -> Any:
    found = plainly.npy(file.read_bytes())
    if found.shape != TILE.shape:
        raise ValueError(found.shape)
    if found.dtype != np.float32:
        raise Open
    return [2.5, found]


def _about_reference(file: Path) -> Any:
    found = plainly.value(plainly.text(file))
    if (
        found["cell_m"] != 0.5
        or found["layers"] != ["height"]
        or isinstance(found["time"], (str, bool))
        or not isfinite(found["time"])
    ):
        raise ValueError(found)
    if set(found) != {"cell_m", "layers", "time"}:
        raise Open
    return [float(found["time"]), TILE]


MAPS = [
    Reader("terrain/map.npz", _map_npz, lambda file: _mapped(load_npz(file)), _map_reference, (), (cut,), BINARY),
    Reader("terrain/map.tif", _map_tif, lambda file: _mapped(load_geotiff(file)), None, (), (), BINARY),
    Reader(
        "terrain/map.json of tiles",
        _tiles("map.json"),
        _tiled,
        _about_reference,
        NEUTRAL_TEXT,
        (
            bad_byte,
            value_of(b"time", (b'"x"', b"null", b"[]")),
            value_of(b"cell_m", (b'"x"', b"null", b"[1]", b"0.25")),
        ),
        OTHER_TEXT,
    ),
    Reader("terrain/tile.npy", _tiles("tile_0_0.npy"), _tiled, _tile_reference, (), (cut,), BINARY),
]
READERS = [*POSES, *MAPS]
