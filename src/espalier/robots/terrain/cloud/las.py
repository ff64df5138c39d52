"""LAS and its compressed form LAZ, the formats of airborne laser scans."""

from __future__ import annotations

import io
import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from espalier.core.errors import DataError, MissingExtraError
from espalier.robots.terrain.cloud.cloud import Cloud
from espalier.robots.terrain.cloud.columns import Columns, expect, reading
from espalier.robots.terrain.cloud.laz import check_chunks

HEADER_BYTES, LONG_HEADER_BYTES = 227, 375
"""Of version 1.0, and of 1.4, which counts in 64 bits."""
MINOR = 25
"""Where the version behind the 1. stands."""
RECORD_BYTES, LONG_RECORD_BYTES = 54, 60
"""A variable length record, and an extended one, has at least as many."""
COMPRESSED = 0x80
"""Bit of the point format that says LAZ."""
STEP_M = 1e-4
"""Of the coordinates that are written, which LAS keeps as whole numbers of 32 bits."""


def read_las(file: Path) -> Columns:
    """x, y and z with scale and offset applied, in float64, and the other dimensions of the points.

    Raises DataError; MissingExtraError without laspy, or for LAZ without lazrs.
    """
    content = file.read_bytes()
    compressed = _check(file, content)
    try:
        import laspy
    except ImportError as error:
        raise MissingExtraError("laspy", "robots") from error
    if compressed and find_spec("lazrs") is None:
        raise MissingExtraError("lazrs", "robots")
    with reading(file, "LAS"):
        if compressed:
            check_chunks(file, content)
        cloud = laspy.read(io.BytesIO(content))
        others = [name for name in cloud.point_format.dimension_names if name not in ("X", "Y", "Z")]
        return {name: np.asarray(cloud[name]) for name in ("x", "y", "z", *others)}


def las_bytes(cloud: Cloud) -> bytes:
    """A LAS 1.4 file of the coordinates, to 0.1 mm where the extent allows; fields are not written."""
    return _written(cloud, compress=False)


def laz_bytes(cloud: Cloud) -> bytes:
    """The same, compressed."""
    return _written(cloud, compress=True)


def _written(cloud: Cloud, *, compress: bool) -> bytes:
    try:
        import laspy
    except ImportError as error:
        raise MissingExtraError("laspy", "robots") from error
    header, stream = laspy.LasHeader(point_format=6, version="1.4"), io.BytesIO()
    header.offsets = np.floor(cloud.low)
    header.scales = np.maximum(STEP_M, (cloud.high - header.offsets) / np.iinfo(np.int32).max)
    made = laspy.LasData(header)
    made.xyz = cloud.points
    made.write(stream, do_compress=compress)
    return stream.getvalue()


def _check(file: Path, content: bytes) -> bool:
    """Whether the file is compressed. Raises DataError where it is none, is empty, or was cut short."""
    if content[:4] != b"LASF":
        raise DataError(f"{file} does not begin with 'LASF': it is no LAS file")
    expect(file, HEADER_BYTES, len(content))
    header, start, records, point_format, length, count = struct.unpack_from("<HIIBHI", content, 94)
    expect(file, header + records * RECORD_BYTES, start)
    if content[MINOR] >= 4:
        expect(file, LONG_HEADER_BYTES, len(content))
        later, later_records, count = struct.unpack_from("<QIQ", content, 235)
        if later_records:  # else it does not matter where they would begin
            expect(file, later + later_records * LONG_RECORD_BYTES, len(content))
    if not count:
        raise DataError(f"{file} holds no points")
    if not point_format & COMPRESSED:
        expect(file, start + count * length, len(content))
        return False
    return True
