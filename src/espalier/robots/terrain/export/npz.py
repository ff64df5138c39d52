"""NPZ, numpy's archive: every layer under its own name, and the frame's numbers."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np

from espalier.core.config import Config
from espalier.core.errors import DataError
from espalier.core.io.files import write_atomic
from espalier.robots.terrain.cloud.arrays import check_arrays
from espalier.robots.terrain.cloud.columns import reading
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
    with reading(file, "NPZ"):
        check_arrays(file)
        with np.load(file, allow_pickle=False) as archive:
            arrays = dict(archive)
    try:
        cell_m, row, col = (arrays.pop(name).item() for name in FRAME)
    except KeyError as error:
        raise DataError(f"{file} holds no terrain map: it has no {error.args[0]!r}") from None
    except ValueError:
        raise DataError(f"{file} holds no terrain map: {', '.join(FRAME)} are one number each") from None
    if not (
        isinstance(cell_m, int | float) and 0.0 < cell_m < np.inf and isinstance(row, int) and isinstance(col, int)
    ):
        raise DataError(f"{file} holds no terrain map: {', '.join(FRAME)} are {cell_m!r}, {row!r} and {col!r}")
    for name, values in arrays.items():
        if values.dtype.kind not in "fiub":
            raise DataError(f"{file} holds no terrain map: {name!r} is of the type {values.dtype}, which is no layer")
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
        with zipfile.ZipFile(file) as archive:
            return {f"{name}.npy" for name in FRAME} <= set(archive.namelist())
    except (OSError, ValueError, zipfile.BadZipFile):
        return False
