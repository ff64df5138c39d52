"""Files of poses: TUM (`stamp tx ty tz qx qy qz qw`) and KITTI (the 12 numbers of a 3 x 4 matrix, row by row)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError
from espalier.core.io.text import text_lines
from espalier.robots.terrain.cloud.frames import RIGID, distortion, rotations

Floats = npt.NDArray[np.float64]

TUM, KITTI = 8, 12
NORM = 0.01
"""How far from 1 the norm of a quaternion may be, for digits lost in writing."""
KITTI_S = 0.1
"""Between poses that have no times."""
TIMES = "times.txt"


@dataclass(frozen=True)
class Poses:
    """matrices: (n, 4, 4), sensor to world. stamps: (n,) seconds. timed: whether these stand in the file of the poses
    itself, so that scans can be found by them.
    """

    matrices: Floats
    stamps: Floats
    timed: bool

    def __len__(self) -> int:
        return len(self.matrices)


def read_poses(file: Path) -> Poses:
    """The poses of a file, in its order; blank lines and what follows a # are left out. KITTI's stamps are those of
    `times.txt` beside the file, or 0.1 s apart.

    The matrices are taken as they are; KITTI's own are of the left camera, and a lidar's are those times its `Tr`.
    Raises DataError by file and line.
    """
    lines, table = _table(file)
    if table.shape[1] == TUM:
        return Poses(_tum(file, lines, table), table[:, 0], timed=True)
    if table.shape[1] == KITTI:
        return Poses(_kitti(file, lines, table), _times(file.with_name(TIMES), len(table)), timed=False)
    raise DataError(
        f"{file}:{lines[0]}: {table.shape[1]} values; a pose has {TUM} (TUM: stamp tx ty tz qx qy qz qw) or {KITTI} "
        "(KITTI: a 3 x 4 matrix)"
    )


def _tum(file: Path, lines: list[int], table: Floats) -> Floats:
    for number, norm in zip(lines, np.linalg.norm(table[:, 4:], axis=1), strict=True):
        if abs(norm - 1.0) > NORM:
            raise DataError(f"{file}:{number}: a quaternion of norm {norm:.4g}, not 1; the order is qx qy qz qw")
    return _matrices(rotations(table[:, 4:]), table[:, 1:4])


def _kitti(file: Path, lines: list[int], table: Floats) -> Floats:
    upper = table.reshape(-1, 3, 4)
    for number, error in zip(lines, distortion(upper[:, :, :3]), strict=True):
        if error > RIGID:
            raise DataError(
                f"{file}:{number}: its first three columns are no rotation, by {error:.2g}; a line is a 3 x 4 matrix, "
                "row by row. Is this a file of poses?"
            )
    return _matrices(upper[:, :, :3], upper[:, :, 3])


def _matrices(turns: Floats, places: Floats) -> Floats:
    out: Floats = np.tile(np.eye(4), (len(turns), 1, 1))
    out[:, :3, :3], out[:, :3, 3] = turns, places
    return out


def _times(file: Path, count: int) -> Floats:
    if not file.is_file():
        return np.arange(count, dtype=np.float64) * KITTI_S
    lines, table = _table(file)
    if table.shape[1] != 1:
        raise DataError(f"{file}:{lines[0]}: {table.shape[1]} values; a time in seconds is expected")
    if len(table) != count:
        raise DataError(f"{file} has {len(table)} times for {count} poses")
    return table.reshape(-1)


def _table(file: Path) -> tuple[list[int], Floats]:
    """Numbers of the lines that hold something, and their values."""
    lines: list[int] = []
    rows: list[list[float]] = []
    for number, line in text_lines(file):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            if "_" in line.partition("#")[0]:
                raise ValueError(f"{line[:80]!r} is not made of numbers")
            row = [float(word) for word in words]
        except ValueError as error:
            raise DataError(f"{file}:{number}: {error}") from None
        if rows and len(row) != len(rows[0]):
            raise DataError(f"{file}:{number}: {len(row)} values, where line {lines[0]} has {len(rows[0])}")
        if not all(map(math.isfinite, row)):
            raise DataError(f"{file}:{number}: a value is not finite")
        lines.append(number)
        rows.append(row)
    if not rows:
        raise DataError(f"{file} holds no numbers")
    return lines, np.array(rows)
