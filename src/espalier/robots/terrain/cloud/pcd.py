"""PCD, the format of the Point Cloud Library: ascii, binary and binary_compressed."""

from __future__ import annotations

import io
import math
import struct
from dataclasses import dataclass, field
from pathlib import Path

from espalier.core.errors import DataError, MissingExtraError, nearest
from espalier.robots.terrain.cloud.cloud import Cloud
from espalier.robots.terrain.cloud.columns import Columns, columns_of, expect, number_rows, plain, reading

TYPES = {"F": (4, 8), "I": (1, 2, 4, 8), "U": (1, 2, 4, 8)}
"""Bytes a number may have, by the letter of its type."""
ENCODINGS = ("ascii", "binary", "binary_compressed")
PADDING = "_"
DIGITS = 18
MOST_PACKED = 90
"""Bytes that one packed byte may stand for: three of LZF are 264 at most."""
LONGEST = 64
"""Lines of a header; a file that has more before its DATA is something else."""


@dataclass(frozen=True, slots=True)
class Header:
    """names, types, sizes, counts: of the fields. points: how many are promised. The data begin after `length` bytes
    and `lines` lines.
    """

    names: tuple[str, ...]
    types: tuple[str, ...]
    sizes: tuple[int, ...]
    counts: tuple[int, ...]
    points: int
    encoding: str
    length: int
    lines: int

    @property
    def columns(self) -> list[str]:
        """One name a number: a field of several has `name_0`, `name_1` and so on."""
        fields = zip(self.names, self.counts, strict=True)
        return [name if count == 1 else f"{name}_{k}" for name, count in fields for k in range(count)]

    @property
    def data_bytes(self) -> int:
        """Of the data, where they are not compressed."""
        return self.points * sum(size * count for size, count in zip(self.sizes, self.counts, strict=True))


def read_pcd(file: Path) -> Columns:
    """The columns of a PCD file, padding left out. Raises DataError; MissingExtraError without pypcd4."""
    content = plain(file.read_bytes())
    header = _header(file, content)
    body = content[header.length :]
    if header.encoding == "ascii":
        rows = number_rows(file, body.splitlines(), header.lines + 1, header.points, len(header.columns))
        columns: Columns = dict(zip(header.columns, rows.T, strict=True))
    else:
        _expect_whole(file, header, body)
        columns = _decoded(file, header, body)
    return {name: values for name, values in columns.items() if not name.startswith(PADDING)}


def pcd_bytes(cloud: Cloud) -> bytes:
    """A binary PCD file. Raises DataError for a field of a type that PCD lacks."""
    try:
        from pypcd4.pypcd4 import Encoding, PointCloud
    except ImportError as error:
        raise MissingExtraError("pypcd4", "robots") from error
    columns, stream = columns_of(cloud), io.BytesIO()
    for name, values in columns.items():
        if values.dtype.kind not in "fiu" or values.dtype.itemsize not in TYPES[values.dtype.kind.upper()]:
            raise DataError(f"PCD has no type {values.dtype} for the field {name!r}; leave it out, or write .npz")
    made = PointCloud.from_points(list(columns.values()), list(columns), [each.dtype for each in columns.values()])
    made.save(stream, Encoding.BINARY)
    return stream.getvalue()


def _expect_whole(file: Path, header: Header, body: bytes) -> None:
    size, plain = header.length + len(body), header.encoding == "binary"
    expect(file, header.length + (header.data_bytes if plain else 8), size)
    if plain:
        return
    packed, unpacked = struct.unpack_from("<II", body)
    expect(file, header.length + 8 + packed, size)
    if unpacked > packed * MOST_PACKED:
        raise DataError(f"{file}: its {packed} bytes cannot unpack to {unpacked}; its header is broken")
    if unpacked != header.data_bytes:
        raise DataError(f"{file}: its data unpack to {unpacked} bytes where its header promises {header.data_bytes}")


def _decoded(file: Path, header: Header, body: bytes) -> Columns:
    try:
        from pypcd4.pypcd4 import Encoding, MetaData, PointCloud
    except ImportError as error:
        raise MissingExtraError("pypcd4", "robots") from error
    with reading(file, "PCD"):
        full = MetaData(  # headers of older versions lack lines that the library insists on
            fields=header.names,
            type=header.types,
            size=header.sizes,
            count=header.counts,
            points=header.points,
            width=header.points,
        )
        lines = full.compose_header(Encoding(header.encoding)).encode()
        data = PointCloud.from_fileobj(io.BufferedReader(io.BytesIO(lines + body))).pc_data
        return {name: data[key] for name, key in zip(header.columns, data.dtype.names or (), strict=True)}


@dataclass(frozen=True, slots=True)
class _Lines:
    """Words of a header by their first, and the numbers of the lines."""

    file: Path
    words: dict[str, list[str]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)

    def of(self, key: str) -> tuple[str, ...]:
        if key not in self.words:
            raise DataError(f"{self.file} has no line {key} in its header: it is no PCD file, or not whole")
        return tuple(self.words[key])

    def whole(self, key: str) -> tuple[int, ...]:
        words = self.of(key)
        if not words or not all(word.isascii() and word.isdigit() and len(word) <= DIGITS for word in words):
            raise self.error(key, f"{key} is {' '.join(words)!r}; whole numbers are expected")
        return tuple(int(word) for word in words)

    def error(self, key: str, message: str) -> DataError:
        return DataError(f"{self.file}:{self.numbers[key]}: {message}")


def _header(file: Path, content: bytes) -> Header:
    stream, lines, number = io.BytesIO(content), _Lines(file), 0
    while "DATA" not in lines.words and number < LONGEST:
        number += 1
        key, *words = stream.readline().decode("latin-1").split() or ["#"]
        lines.words[key], lines.numbers[key] = words, number
    encoding = " ".join(lines.of("DATA"))
    if encoding not in ENCODINGS:
        raise lines.error("DATA", f"the encoding {encoding!r} is not known{nearest(encoding, ENCODINGS)}")
    names, types, sizes = lines.of("FIELDS"), lines.of("TYPE"), lines.whole("SIZE")
    counts = lines.whole("COUNT") if "COUNT" in lines.words else (1,) * len(names)
    for key, values in (("TYPE", types), ("SIZE", sizes), ("COUNT", counts)):
        if len(values) != len(names):
            raise lines.error(key, f"{len(values)} values for {len(names)} fields")
    if sum(counts) > len(content):
        raise lines.error("COUNT", f"a point of {sum(counts)} values is longer than the file")
    for name, letter, size in zip(names, types, sizes, strict=True):
        if size not in TYPES.get(letter, ()):
            raise lines.error("TYPE", f"the field {name!r} has the unknown type {letter} of {size} bytes")
    real = [name for name in names if name != PADDING]
    if len(set(real)) < len(real):
        raise lines.error("FIELDS", "a field is named twice")
    sides = ("POINTS",) if "POINTS" in lines.words else ("WIDTH", "HEIGHT")
    points = math.prod(lines.whole(key)[0] for key in sides)
    if not points:
        raise DataError(f"{file} holds no points")
    return Header(names, types, sizes, counts, points, encoding, stream.tell(), number)
