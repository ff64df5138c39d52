"""PLY, the Stanford format: the vertices of ascii, little-endian and big-endian files; faces are left out."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from espalier.core.errors import DataError, nearest
from espalier.robots.terrain.cloud.cloud import Cloud
from espalier.robots.terrain.cloud.columns import Columns, columns_of, expect, number_rows, plain, records

NAMES = {
    "i1": ("char", "int8"),
    "u1": ("uchar", "uint8"),
    "i2": ("short", "int16"),
    "u2": ("ushort", "uint16"),
    "i4": ("int", "int32"),
    "u4": ("uint", "uint32"),
    "f4": ("float", "float32"),
    "f8": ("double", "float64"),
}
"""Of NumPy's types: the format's own names, and those that have become common."""
TYPES = {name: kind for kind, names in NAMES.items() for name in names}
DIGITS = 18
ORDERS = {"ascii": "", "binary_little_endian": "<", "binary_big_endian": ">"}


@dataclass(slots=True)
class Element:
    """`count` things of the same properties. types: numpy's, by name. lists: names of properties of varying length."""

    name: str
    count: int
    types: dict[str, str] = field(default_factory=dict)
    lists: list[str] = field(default_factory=list)

    def dtype(self, order: str) -> np.dtype[np.void]:
        """Of one, in bytes of the order `<` or `>`."""
        return np.dtype([(name, order + kind) for name, kind in self.types.items()])


def read_ply(file: Path) -> Columns:
    """The properties of the vertices. Raises DataError by line of the header, or of the data where they are text."""
    stream = io.BytesIO(plain(file.read_bytes()))
    order, elements, lines = _header(file, stream)
    before, vertex = _split(file, elements)
    if not order:
        text = stream.read().splitlines()
        skipped = sum(element.count for element in before)
        rows = number_rows(file, text[skipped:], lines + skipped + 1, vertex.count, len(vertex.types))
        return dict(zip(vertex.types, rows.T, strict=True))
    for element in before:
        if element.lists:
            raise DataError(f"{file}: its vertices follow the lists of {element.name!r}; write the vertices first")
    start = stream.tell() + sum(element.count * element.dtype(order).itemsize for element in before)
    content, dtype = stream.getbuffer(), vertex.dtype(order)
    expect(file, start + vertex.count * dtype.itemsize, len(content))
    data = np.frombuffer(content, dtype, vertex.count, start)
    return {name: data[name] for name in vertex.types}


def ply_bytes(cloud: Cloud) -> bytes:
    """A little-endian PLY file of vertices. Raises DataError for a field of a type that PLY lacks."""
    columns = columns_of(cloud)
    lines = ["ply", "format binary_little_endian 1.0", f"element vertex {len(cloud)}"]
    for name, values in columns.items():
        if (kind := values.dtype.str[1:]) not in NAMES:
            raise DataError(f"PLY has no type {values.dtype} for the field {name!r}; leave it out, or write .npz")
        lines.append(f"property {NAMES[kind][0]} {name}")
    return "\n".join((*lines, "end_header\n")).encode() + records(columns).tobytes()


def _split(file: Path, elements: list[Element]) -> tuple[list[Element], Element]:
    """The elements before the vertices, and the vertices."""
    names = [element.name for element in elements]
    if "vertex" not in names:
        raise DataError(f"{file} has no element 'vertex'{nearest('vertex', names)}")
    place = names.index("vertex")
    vertex = elements[place]
    if vertex.lists:
        raise DataError(f"{file}: its vertices have the list {vertex.lists[0]!r}; write them without it")
    if not vertex.count:
        raise DataError(f"{file} holds no points")
    return elements[:place], vertex


def _header(file: Path, stream: io.BytesIO) -> tuple[str, list[Element], int]:
    """Byte order (empty: text), elements, and lines of a header. The stream is left at its end."""
    if stream.readline().strip() != b"ply":
        raise DataError(f"{file} does not begin with 'ply': it is no PLY file")
    order: str | None = None
    elements: list[Element] = []
    for number, line in enumerate(stream, 2):
        match line.decode("latin-1").split():
            case [] | ["comment" | "obj_info", *_]:
                continue
            case ["format", encoding, "1.0"] if encoding in ORDERS:
                order = ORDERS[encoding]
            case ["element", name, count] if count.isascii() and count.isdigit() and len(count) <= DIGITS:
                elements.append(Element(name, int(count)))
            case ["property", "list", _, _, name] if elements:
                elements[-1].lists.append(name)
            case ["property", kind, name] if elements and name not in elements[-1].types:
                if kind not in TYPES:
                    raise DataError(f"{file}:{number}: {name!r} has the unknown type {kind!r}{nearest(kind, TYPES)}")
                elements[-1].types[name] = TYPES[kind]
            case ["end_header"] if order is not None:
                return order, elements, number
            case _:
                raise DataError(f"{file}:{number}: this line of the header is not understood: {line[:80]!r}")
    raise DataError(f"{file} has no line 'end_header': it is no PLY file, or not whole")
