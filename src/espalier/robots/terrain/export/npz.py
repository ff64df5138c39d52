"""NPZ, numpy's archive: every layer under its own name, and the frame's numbers."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from espalier.core.config import Config
from espalier.core.errors import DataError
from espalier.core.files import write_atomic
from espalier.robots.terrain.grid.frame import Frame
from espalier.robots.terrain.grid.terrain_map import TerrainMap

FRAME = ("frame.cell_m", "frame.row", "frame.col")
"""Keys beside the layers' names: see `Frame`. Rows and columns are those of the layers."""


class NpzConfig(Config):
    """There is nothing to choose."""


def save_npz(ground: TerrainMap, file: Path, config: NpzConfig | None = None) -> None:
    """`numpy.load(file)["elevation"]` and so on, (rows, cols) float32, row 0 at the least y; without pickles."""
    frame, stream = ground.frame, io.BytesIO()
    numbers = dict(zip(FRAME, (frame.cell_m, frame.row, frame.col), strict=True))
    np.savez_compressed(stream, allow_pickle=False, **{**ground.layers, **numbers})  # type: ignore[arg-type]
    write_atomic(file, stream.getvalue())


def load_npz(file: Path) -> TerrainMap:
    """What `save_npz` wrote, exactly. Raises DataError for another archive."""
    try:
        with np.load(file, allow_pickle=False) as archive:
            arrays = dict(archive)
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise DataError(f"{file} cannot be read as NPZ: {error}") from None
    try:
        cell_m, row, col = (arrays.pop(name).item() for name in FRAME)
    except KeyError as error:
        raise DataError(f"{file} holds no terrain map: it has no {error.args[0]!r}") from None
    shapes = {values.shape for values in arrays.values()}
    if len(shapes) != 1 or len(shape := shapes.pop()) != 2:
        raise DataError(f"{file} holds no terrain map: its layers are not of one shape (rows, cols)")
    if "observed" not in arrays:
        arrays["observed"] = np.isfinite(list(arrays.values())).any(0).astype(np.float32)
    return TerrainMap(Frame(float(cell_m), int(row), int(col), *shape), arrays)


def is_map(file: Path) -> bool:
    """Whether an archive has what `save_npz` writes; a cloud's has not."""
    if file.suffix.lower() != ".npz":
        return False
    try:
        with np.load(file, allow_pickle=False) as archive:
            return set(FRAME) <= set(archive.files)
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile):
        return False
