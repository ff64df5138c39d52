"""NumPy's NPY and NPZ, and KITTI's raw float32. Nothing is ever unpickled."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError, nearest
from espalier.robots.terrain.cloud.cloud import Cloud
from espalier.robots.terrain.cloud.columns import AXES, Columns, columns_of, reading, records

KITTI = (*AXES, "intensity")
KITTI_BYTES = 16
LOSS_M = 0.005
"""Coordinates that float32 moves by more are not written to KITTI's format."""


def read_numpy(file: Path) -> Columns:
    """NPY: (n, 3) or more numbers, the further columns being `column_3` and so on, or a structured array with x, y, z.
    NPZ: the same as `points`, and those of the other arrays that hold one number a point.

    Raises DataError.
    """
    with reading(file, "NumPy's format"):
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return _columns(file, loaded)
        with loaded as arrays:
            if "points" not in arrays:
                raise DataError(f"{file} has no array 'points'{nearest('points', arrays)}")
            points = arrays["points"]
            others = {name: arrays[name] for name in arrays if name != "points"}
        fit = {name: each for name, each in others.items() if each.shape[:1] == points.shape[:1]}
        return {**_columns(file, points), **fit}


def read_bin(file: Path) -> Columns:
    """float32 x, y, z and intensity, point by point. Raises DataError where the size is not one of whole points."""
    size = file.stat().st_size
    if size % KITTI_BYTES:
        raise DataError(
            f"{file} has {size} bytes, which is no multiple of {KITTI_BYTES} (float32 x, y, z, intensity): "
            "it was cut short, or holds something else"
        )
    return dict(zip(KITTI, np.fromfile(file, "<f4").reshape(-1, 4).T, strict=True))


def npy_bytes(cloud: Cloud) -> bytes:
    """(n, 3) float64, or a structured array where there are fields."""
    stream = io.BytesIO()
    np.save(stream, records(columns_of(cloud, exact=True)) if cloud.fields else cloud.points, allow_pickle=False)
    return stream.getvalue()


def npz_bytes(cloud: Cloud) -> bytes:
    """`points` (n, 3) float64, and an array for each field."""
    stream = io.BytesIO()
    arrays: dict[str, Any] = {"points": cloud.points, **cloud.fields}
    np.savez_compressed(stream, **arrays)
    return stream.getvalue()


def bin_bytes(cloud: Cloud) -> bytes:
    """Intensity is that of the cloud or 0; other fields are not written.

    Raises DataError where float32 is too coarse.
    """
    rows = np.zeros((len(cloud), 4), "<f4")
    rows[:, :3] = cloud.points
    loss = np.abs(rows[:, :3] - cloud.points).max(initial=0.0)
    if loss > LOSS_M:
        raise DataError(f"float32 would move a point by {loss:.3g} m; write .npz or .las, or subtract an origin")
    rows[:, 3] = cloud.fields.get("intensity", 0.0)
    return rows.tobytes()


def _columns(file: Path, array: npt.NDArray[Any]) -> Columns:
    if array.dtype.names:
        return {name: array[name] for name in array.dtype.names}
    if array.ndim != 2 or array.shape[1] < len(AXES):
        raise DataError(f"{file} is an array of shape {array.shape}; (n, 3) or (n, 3 + columns) is expected")
    names = (*AXES, *(f"column_{k}" for k in range(3, array.shape[1])))
    return dict(zip(names, array.T, strict=True))
