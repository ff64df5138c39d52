"""What the readers of files share: columns by name become a cloud, and what a file promised is what it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError, EspalierError
from espalier.core.io.text import as_utf8
from espalier.robots.terrain.cloud.cloud import Cloud, Points
from espalier.robots.terrain.cloud.unusable import usable

Columns = Mapping[str, npt.NDArray[np.generic]]
"""(n,) values by name; x, y and z among them, in metres."""

AXES = ("x", "y", "z")
HEAD = 4096
"""Bytes, within which a file of text says that it is."""
FINE_M = 1e-4
"""No coordinate moves by more when it is written in fewer digits."""


def cloud_of(columns: Columns, file: Path) -> Cloud:
    """A cloud of the points that can be used; the others are counted. Columns that are not one number a point are left
    out.

    Raises DataError without x, y and z, without points, and where none can be used.
    """
    simple = {name: values for name, values in columns.items() if values.ndim == 1 and values.dtype.kind in "fiub"}
    for axis in AXES:
        if axis not in columns:
            raise DataError(f"{file} has no field {axis!r}; it has {', '.join(columns)}")
        if axis not in simple:
            raise DataError(f"{file}: the field {axis!r} is of the type {columns[axis].dtype}, which is no coordinate")
    points = np.stack([simple.pop(axis).astype(np.float64) for axis in AXES], axis=-1)
    if not len(points):
        raise DataError(f"{file} holds no points")
    good, dropped = usable(points, str(file), columns)
    fields = {name: values.astype(values.dtype.newbyteorder("="))[good] for name, values in simple.items()}
    return Cloud(points[good], str(file), fields, dropped)


def columns_of(cloud: Cloud, *, exact: bool = False) -> Columns:
    """To be written. Coordinates are float32 where that moves none by more than 0.1 mm; float64 where it would, or if
    `exact`.
    """
    points: npt.NDArray[np.generic] = cloud.points
    short = cloud.points.astype(np.float32)
    if not exact and np.abs(short - cloud.points).max(initial=0.0) <= FINE_M:
        points = short
    return {**{axis: points[:, k] for k, axis in enumerate(AXES)}, **cloud.fields}


def records(columns: Columns) -> npt.NDArray[np.void]:
    """(n,): a record a point, its numbers little-endian and one right after the other."""
    out = np.empty(len(columns["x"]), [(name, values.dtype.newbyteorder("<")) for name, values in columns.items()])
    for name, values in columns.items():
        out[name] = values
    return out


@contextmanager
def reading(file: Path, kind: str) -> Iterator[None]:
    """What a library raises over a broken file, be it what it may, becomes a DataError that names the file."""
    try:
        yield
    except EspalierError:
        raise
    except Exception as error:
        raise DataError(f"{file} cannot be read as {kind}: {error}. Is it whole, and of this format?") from error


def expect(file: Path, needed: int, found: int, unit: str = "bytes") -> None:
    """Raise DataError where a file holds less than its header promises."""
    if found < needed:
        raise DataError(
            f"{file} holds {found} {unit} where its header promises {needed}: it was cut short. Copy or write it again"
        )


def plain(content: bytes) -> bytes:
    """A file that may be text: as UTF-8 without a byte-order mark, and with line feeds where its lines end in carriage
    returns alone.
    """
    content = as_utf8(content)
    head = content[:HEAD]
    return content.replace(b"\r", b"\n") if b"ascii" in head and b"\n" not in head else content


def number_rows(file: Path, lines: Iterable[bytes], first: int, count: int, width: int) -> Points:
    """(count, width): the numbers of the first `count` lines that are not blank. first: the number of the first line.

    Raises DataError by file and line.
    """
    rows: list[list[float]] = []
    for number, line in enumerate(lines, first):
        words = line.split()
        if len(words) not in (0, width):
            raise DataError(f"{file}:{number}: {len(words)} values, not {width}")
        try:
            if b"_" in line:
                raise ValueError(f"{line[:80]!r} is not made of numbers")
            if words:
                rows.append([float(word) for word in words])
        except ValueError as error:
            raise DataError(f"{file}:{number}: {error}") from None
        if len(rows) == count:
            break
    expect(file, count, len(rows), "points")
    return np.array(rows, np.float64).reshape(-1, width)
