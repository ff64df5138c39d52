"""The memory of a map: square tiles of cells fixed in the world, the ones not used for longest on disk."""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import FiniteFloat, TypeAdapter

from espalier.core.errors import DataError
from espalier.core.io.files import write_atomic, write_json
from espalier.core.io.typed import read_typed
from espalier.robots.terrain.cloud.arrays import check_arrays
from espalier.robots.terrain.grid.frame import Frame

Cells = npt.NDArray[np.float32]
ABOUT = "map.json"
SIDE = 32
"""Cells along a side of a tile."""
Key = tuple[int, int]


@dataclass(frozen=True)
class _About:
    """What `map.json` says."""

    cell_m: FiniteFloat
    layers: list[str]
    time: FiniteFloat


_ABOUT = TypeAdapter(_About)


class Tiles:
    """Layers of cells, NaN where nothing was written. A frame is read and written as if the world were one array, so
    that a cell keeps its history wherever the frame has been in between.

    layers: their names. keep: tiles in memory. folder: where the others go; without one they are forgotten. time: as of
    the last `flush` to the folder, for the owner. Raises DataError where the folder holds another kind of map.
    """

    def __init__(self, cell_m: float, layers: Sequence[str], *, keep: int = 4096, folder: Path | None = None) -> None:
        self.cell_m, self.layers, self.keep, self.folder = cell_m, tuple(layers), keep, folder
        self.time = 0.0
        self._tiles: OrderedDict[Key, Cells] = OrderedDict()
        self._stored: set[Key] = set()
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._open(folder / ABOUT)
            self._stored = {_key(file) for file in folder.glob("tile_*_*.npy")}

    def read(self, frame: Frame) -> Cells:
        """(layers, rows, cols): a copy of what is known of a frame."""
        found = np.full((len(self.layers), *frame.shape), np.nan, np.float32)
        for key, here, there in self._parts(frame):
            tile = self._tile(key)
            if tile is not None:
                found[(slice(None), *here)] = tile[(slice(None), *there)]
        return found

    def write(self, frame: Frame, cells: Cells) -> None:
        """Replace what is known of a frame by (layers, rows, cols)."""
        for key, here, there in self._parts(frame):
            tile = self._tile(key)
            if tile is None:
                tile = self._tiles[key] = np.full((len(self.layers), SIDE, SIDE), np.nan, np.float32)
            tile[(slice(None), *there)] = cells[(slice(None), *here)]
        self._trim()

    def clear(self) -> None:
        """Begin anew. What lies on disk is moved to a folder of its own, `before-1` and so on."""
        self._tiles.clear()
        if self._stored and self.folder is not None:
            old = next(place for k in count(1) if not (place := self.folder / f"before-{k}").exists())
            old.mkdir()
            write_atomic(old / ABOUT, (self.folder / ABOUT).read_bytes())
            for key in self._stored:
                self._file(key).rename(old / self._file(key).name)
        self._stored.clear()

    def flush(self, time: float = 0.0) -> None:
        """Write all tiles to the folder, and the time that they are as of."""
        for key, tile in self._tiles.items():
            self._store(key, tile)
        self.time = time
        if self.folder is not None:
            write_json(self.folder / ABOUT, {"cell_m": self.cell_m, "layers": self.layers, "time": time})

    def extent(self) -> Frame | None:
        """The smallest frame of whole tiles that holds all that is known; None where nothing is."""
        keys = np.array(sorted(self._stored | set(self._tiles)))
        if not keys.size:
            return None
        (row, col), (last_row, last_col) = keys.min(0).tolist(), keys.max(0).tolist()
        rows, cols = (last_row - row + 1) * SIDE, (last_col - col + 1) * SIDE
        return Frame(self.cell_m, row * SIDE, col * SIDE, rows, cols)

    def _open(self, about: Path) -> None:
        if not about.is_file():
            self.flush()
            return
        told = read_typed(about, _ABOUT)
        self.time, ours, theirs = told.time, (self.cell_m, list(self.layers)), (told.cell_m, told.layers)
        if ours != theirs:
            what = f"cells of {theirs[0]:g} m" if theirs[0] != ours[0] else f"layers {', '.join(theirs[1])}"
            raise DataError(f"{about.parent} holds a map with {what}; use these, or another folder")

    def _parts(self, frame: Frame) -> Iterator[tuple[Key, tuple[slice, slice], tuple[slice, slice]]]:
        """Each tile that a frame touches: its key, and the cells they share, as places in the frame and in the tile."""
        for row in range(frame.row // SIDE, -(-(frame.row + frame.rows) // SIDE)):
            for col in range(frame.col // SIDE, -(-(frame.col + frame.cols) // SIDE)):
                rows, cols = _shared(frame.row, frame.rows, row), _shared(frame.col, frame.cols, col)
                yield (row, col), (rows[0], cols[0]), (rows[1], cols[1])

    def _tile(self, key: Key) -> Cells | None:
        if key in self._tiles:
            self._tiles.move_to_end(key)
            return self._tiles[key]
        if key not in self._stored:
            return None
        file = self._file(key)
        try:
            check_arrays(file)
            tile = np.load(file, allow_pickle=False)
        except Exception as error:
            raise DataError(f"{file} is no tile of a map: {error}") from None
        shape = (len(self.layers), SIDE, SIDE)
        if getattr(tile, "shape", None) != shape or tile.dtype.kind != "f":
            found = f"has the shape {tile.shape}" if hasattr(tile, "shape") else "is an archive"
            raise DataError(f"{file} {found}, not {shape} of numbers: is it of another map?")
        self._tiles[key] = tile
        return self._tiles[key]

    def _trim(self) -> None:
        while len(self._tiles) > self.keep:
            key, tile = self._tiles.popitem(last=False)
            if self.folder is not None:
                self._store(key, tile)

    def _store(self, key: Key, tile: Cells) -> None:
        if self.folder is None:
            raise DataError("this map has no folder for its tiles: give one (`tiles`)")
        content = io.BytesIO()
        np.save(content, tile, allow_pickle=False)
        write_atomic(self._file(key), content.getvalue())
        self._stored.add(key)

    def _file(self, key: Key) -> Path:
        assert self.folder is not None
        return self.folder / f"tile_{key[0]}_{key[1]}.npy"


def _shared(first: int, count: int, tile: int) -> tuple[slice, slice]:
    """Cells `first` to `first + count` and those of a tile: what they share, as seen from each."""
    low, high = max(first, tile * SIDE), min(first + count, (tile + 1) * SIDE)
    return slice(low - first, high - first), slice(low - tile * SIDE, high - tile * SIDE)


def _key(file: Path) -> Key:
    row, col = file.stem.split("_")[1:]
    return int(row), int(col)
