"""NumPy's NPY and NPZ. Nothing is ever unpickled."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError, nearest
from espalier.robots.terrain.cloud.cloud import Cloud
from espalier.robots.terrain.cloud.columns import AXES, Columns, columns_of, reading, records

ZIP = b"PK\x03\x04"
WIDE = 10
"""More columns than this, and more than rows, are points that lie side by side."""


def read_numpy(file: Path) -> Columns:
    """NPY: (n, 3) or more numbers, the further columns being `column_3` and so on, or a structured array with x, y, z.
    NPZ: the same as `points`, and those of the other arrays that hold one number a point.

    Raises DataError.
    """
    with reading(file, "NumPy's format"):
        check_arrays(file)
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


def check_arrays(file: Path) -> None:
    """Raise ValueError where an array would be larger than what there is of it, before there is a place for it."""
    with file.open("rb") as stream:
        if stream.read(len(ZIP)) != ZIP:
            stream.seek(0)
            _check_array(stream, file.stat().st_size)
            return
    with zipfile.ZipFile(file) as archive:
        for member in archive.infolist():
            with archive.open(member) as part:
                _check_array(part, member.file_size)


def _check_array(stream: IO[bytes], size: int) -> None:
    """size: bytes of the array with its header."""
    version = np.lib.format.read_magic(stream)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read(stream)
    needed = math.prod(shape) * dtype.itemsize + stream.tell()
    if size < needed and not dtype.hasobject:
        raise ValueError(f"it holds {size} bytes where its header promises {needed}")


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


def _columns(file: Path, array: npt.NDArray[Any]) -> Columns:
    if array.dtype.names:
        return {name: array[name] for name in array.dtype.names}
    if array.ndim != 2 or array.shape[1] < len(AXES):
        raise DataError(f"{file} is an array of shape {array.shape}; (n, 3) or (n, 3 + columns) is expected")
    if array.shape[1] > max(WIDE, array.shape[0]):
        raise DataError(f"{file} is an array of shape {array.shape}, which looks transposed; write its .T, (n, 3)")
    names = (*AXES, *(f"column_{k}" for k in range(3, array.shape[1])))
    return dict(zip(names, array.T, strict=True))
