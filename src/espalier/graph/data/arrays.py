"""Checks arrays from users: features, labels and index arrays. Errors name row and column, counted from 0."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from espalier.core.errors import DataError

UNKNOWN = -1
"""The label of a node whose label is unknown."""
SPARE = 1000
"""Largest label that is accepted in a graph with fewer nodes."""


def read_array(file: Path, *, mapped: bool = False) -> Any:
    """The array in a `.npy` file, never unpickled. mapped: memory-mapped. Raises DataError with the file."""
    if not file.is_file():
        raise DataError(f"there is no {file}")
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except Exception as error:  # a broken header can raise anything
        raise DataError(f"{file}: not an array of numbers ({error})") from None
    if not isinstance(array, np.memmap) or array.offset + array.nbytes != file.stat().st_size:
        raise DataError(f"{file}: not a single array of numbers: more data follow it")
    return array if mapped else np.array(array)


def as_features(values: Any, where: str, *, first: int = 0, dtype: Any = np.float32) -> Any:
    """Rows of features (k, F) in `dtype`, finite. first: the number of the first row, for messages."""
    check_table(values, where)
    with np.errstate(over="ignore"):
        out = np.ascontiguousarray(values, dtype=dtype)
    bad = ~np.isfinite(out)
    if bad.any():
        row, column = (int(k) for k in np.argwhere(bad)[0])
        raise DataError(f"{where}: row {first + row}, column {column} is {values[row, column]}, not a finite number")
    return out


def check_table(values: Any, where: str) -> None:
    """Raises DataError if these are not numbers (k, F), F at least 1."""
    _check_numbers(values, where)
    if values.ndim != 2 or values.shape[1] == 0:
        advice = "; x.reshape(-1, 1) makes one column" if values.ndim == 1 else ""
        raise DataError(f"{where}: numbers of shape {values.shape}, where (nodes, columns) is needed{advice}")


def as_labels(values: Any, where: str, *, first: int = 0, most: int | None = None) -> Any:
    """Labels (k,) int64: integers from 0, -1 if unknown. most: number of labelled things, k if None."""
    _check_numbers(values, where)
    if values.ndim != 1:
        raise DataError(f"{where}: labels of shape {values.shape}, where one whole number for each row is needed")
    bound = max(values.size if most is None else most, SPARE)
    with np.errstate(invalid="ignore"):
        sound = (values >= UNKNOWN) & (values <= bound) & (values == np.floor(values))
    if not sound.all():
        row = int(np.argmin(sound))
        raise DataError(
            f"{where}: row {first + row} is {values[row]}: labels are whole numbers from 0 to {bound}, "
            f"{UNKNOWN} where unknown"
        )
    return np.ascontiguousarray(values, dtype=np.int64)


def as_integers(values: Any, where: str) -> Any:
    """Index arrays (k,) int64."""
    _check_numbers(values, where)
    fits = values.dtype.kind in "iu" and (values.size == 0 or int(values.max()) <= np.iinfo(np.int64).max)
    if values.ndim != 1 or not fits:
        raise DataError(f"{where}: {values.dtype} of shape {values.shape}, where whole numbers in a row are needed")
    return np.ascontiguousarray(values, dtype=np.int64)


def as_mask(values: Any, where: str, n: int) -> Any:
    """Masks (n,) bool; numbers 0 and 1 are accepted."""
    _check_numbers(values, where)
    if values.shape != (n,) or not bool(((values == 0) | (values == 1)).all()):
        raise DataError(f"{where}: {values.dtype} of shape {values.shape}, where {n} times true or false is needed")
    return np.ascontiguousarray(values, dtype=bool)


def _check_numbers(values: Any, where: str) -> None:
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "fiub":
        kind = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise DataError(f"{where}: an array of {kind}, where numbers are needed")
