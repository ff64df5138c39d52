"""Formations from files of places."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from espalier.core.errors import DataError
from espalier.robots.swarm.formation.even import Floats


def points(file: str | Path, count: int) -> Floats:
    """(count, 3) slots of a CSV file with columns x, y and z, or of an NPY file (count, 3), around their middle.

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
    centred: Floats = found - found.mean(0)
    return centred


def _npy(path: Path) -> Floats:
    try:
        return np.asarray(np.load(path, allow_pickle=False), np.float64)
    except (OSError, ValueError, TypeError, EOFError):
        raise DataError(f"{path} is no NPY file of numbers") from None


def _csv(path: Path) -> Floats:
    rows = []
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        reader = csv.DictReader(file)
        if not {"x", "y", "z"} <= set(reader.fieldnames or ()):
            raise DataError(f"{path}: line 1 names no columns x, y and z")
        for row in reader:
            try:
                rows.append([float(row[name]) for name in "xyz"])
            except (TypeError, ValueError):
                raise DataError(f"{path}: line {reader.line_num} has no numbers x, y and z") from None
    return np.array(rows).reshape(-1, 3)
