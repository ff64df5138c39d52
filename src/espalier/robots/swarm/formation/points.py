"""Formations from files of places."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np

from espalier.core.errors import DataError
from espalier.core.io.text import text_lines
from espalier.robots.swarm.formation.even import Floats

AXES = "xyz"
SEPARATORS = ",;\t"
"""One of these, whichever the first line has, parts the columns; white space where it has none."""


def points(file: str | Path, count: int) -> Floats:
    """(count, 3) slots of a CSV file with columns x, y and z, or of an NPY file (count, 3), around their middle.

    The columns of a CSV are parted by commas, semicolons, tabs or spaces, and named in any case.

    Raises DataError where it cannot be read, by line, or holds another number of places.
    """
    path = Path(file)
    if not path.is_file():
        raise DataError(f"there is no file {path}")
    found = _npy(path) if path.suffix.lower() == ".npy" else _csv(path)
    if found.ndim != 2 or found.shape[1:] != (3,) or not np.isfinite(found).all():
        raise DataError(f"{path} holds {found.shape}, not finite places (n, 3)")
    if len(found) != count:
        raise DataError(f"{path} holds {len(found)} places for {count} vehicles; set n: {len(found)}")
    with np.errstate(over="ignore", invalid="ignore"):
        centred: Floats = found - found.mean(0)
    if not np.isfinite(centred).all():
        raise DataError(f"{path} holds places too far apart for fp64: they are metres")
    return centred


def _npy(path: Path) -> Floats:
    try:
        found = np.load(path, allow_pickle=False)
        if found.dtype.kind not in "fiu":
            raise TypeError(f"{found.dtype} are no numbers")
        return np.asarray(found, np.float64)
    except Exception as error:  # NumPy raises many kinds
        raise DataError(f"{path} is no NPY file of numbers: {error}") from None


def _csv(path: Path) -> Floats:
    """The first line names the columns, in any case and order; x, y and z are among them."""
    lines = ((number, line) for number, line in text_lines(path) if line.strip())
    number, head = next(lines, (1, ""))
    separator = next((each for each in SEPARATORS if each in head), " ")
    names = [name.lower() for name in _cells(head, separator, f"{path}:{number}")]
    if any(names.count(axis) != 1 for axis in AXES):
        raise DataError(f"{path}:{number}: this line names no columns x, y and z, once each; it has {head[:80]!r}")
    columns, rows = [names.index(axis) for axis in AXES], []
    for number, line in lines:
        where = f"{path}:{number}"
        cells = _cells(line, separator, where)
        if len(cells) != len(names):
            raise DataError(f"{where}: {len(cells)} values, where the first line names {len(names)}")
        rows.append([_number(cells[column], where) for column in columns])
    return np.array(rows, np.float64).reshape(-1, len(AXES))


def _cells(line: str, separator: str, where: str) -> list[str]:
    if separator == " ":
        return line.split()
    try:
        row = next(csv.reader([line], delimiter=separator, skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise DataError(f"{where}: {error}") from None
    return [cell.strip() for cell in row]


def _number(cell: str, where: str) -> float:
    try:
        number = float(cell)
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or "_" in cell:
        hint = "; write a point for the decimal comma" if "," in cell else ""
        raise DataError(f"{where}: {cell[:40]!r} is no finite number{hint}")
    return number
