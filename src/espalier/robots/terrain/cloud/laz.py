"""What a LAZ file must hold before lazrs is called, which ends the process where memory is refused."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np

from espalier.core.errors import DataError
from espalier.robots.terrain.cloud.columns import expect

LATER = -1
"""Where the table of chunks is not known yet when the points are written; it is named by the last 8 bytes."""
MANY = 0xFFFFFFFF
"""Points of a chunk in LAZ's record where they vary, and stand in the table of chunks."""
LARGEST = 1 << 24
"""Points of a chunk that lazrs may take memory for, however few there are; writers put 50,000 in one."""
LAYERED, ITEMS = 3, 32
"""Kind of compression whose chunks are in layers; where the number of items stands in LAZ's record."""
LAYERS = {10: 9, 11: 1, 12: 2, 13: 1}
"""Of a chunk by the type of item: points, colours, colours with infrared, waves. Extra bytes have one each."""


def check_chunks(file: Path, content: bytes) -> None:
    """Raise DataError where the table of chunks is lost, or asks for more than the file holds."""
    import laspy
    import lazrs  # type: ignore[import-untyped]

    header = laspy.LasHeader.read_from(io.BytesIO(content))
    start, length, count = header.offset_to_point_data, header.point_format.size, header.point_count
    chunks, end = _table(file, content, start)
    expect(file, chunks, end - start - 8)
    data = bytes(header.vlrs.get("LasZipVlr")[0].record_data)
    record = lazrs.LazVlr(data)
    if record.item_size() != length:
        raise DataError(f"{file}: its points are of {length} bytes, those of its LAZ record of {record.item_size()}")
    largest = record.chunk_size()
    if MANY > largest > max(LARGEST, count):
        raise DataError(f"{file}: it promises chunks of {largest} points, and has {count}; its header is broken")
    stream = io.BytesIO(content)
    stream.seek(start)
    sizes: list[tuple[int, int]] = lazrs.read_chunk_table(stream, record)
    expect(file, sum(size for _, size in sizes), end - start - 8)
    expect(file, count, sum(points for points, _ in sizes) if largest == MANY else chunks * largest, "points")
    if struct.unpack_from("<H", data)[0] == LAYERED:
        _check_layers(file, content, start + 8, [size for _, size in sizes], length, _layers(data))


def _table(file: Path, content: bytes, start: int) -> tuple[int, int]:
    """How many chunks there are, and where their data end."""
    expect(file, start + 8, len(content))
    (table,) = struct.unpack_from("<q", content, start)
    if table == LATER:
        (table,) = struct.unpack_from("<q", content, len(content) - 8)
    expect(file, max(table, start) + 8, len(content))
    return struct.unpack_from("<I", content, max(table, start) + 4)[0], table


def _layers(record: bytes) -> int:
    (items,) = struct.unpack_from("<H", record, ITEMS)
    kinds: Any = struct.iter_unpack("<HHH", record[ITEMS + 2 : ITEMS + 2 + 6 * items])
    return sum(LAYERS.get(kind, size) for kind, size, _ in kinds)


def _check_layers(file: Path, content: bytes, place: int, sizes: list[int], length: int, layers: int) -> None:
    """A chunk is its first point, the number of its points, the sizes of its layers, and these."""
    for size in sizes:
        expect(file, length + 4 + 4 * layers, size)
        held = np.frombuffer(content, "<u4", layers, place + length + 4)
        expect(file, length + 4 + 4 * layers + int(held.sum(dtype=np.uint64)), size)
        place += size
