"""The container: header, metadata and the table of tensors. Tensor data stay in the memory-mapped file.

Layout (ggml's docs/gguf.md, versions 2 and 3, little endian): magic, version, two counts; metadata as key, type and
value; a table of names, dimensions, types and offsets; padding; the tensors' data, each at a multiple of the alignment.
Every count, length and offset is checked against the size of the file before memory is allocated.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError
from espalier.lm.gguf.kinds import KINDS, OTHERS, Kind

Value = bool | int | float | str | list[str] | npt.NDArray[np.generic]
T = TypeVar("T", bool, int, float, str, list[str])

MAGIC, ALIGNMENT = b"GGUF", 32
NUMBERS = {
    0: "<u1",
    1: "<i1",
    2: "<u2",
    3: "<i2",
    4: "<u4",
    5: "<i4",
    6: "<f4",
    7: "|u1",
    10: "<u8",
    11: "<i8",
    12: "<f8",
}
BOOL, STRING, ARRAY = 7, 8, 9
LEAST_ENTRY, LEAST_TENSOR = 14, 33
"""Bytes of the shortest metadata entry and of the shortest entry of the table."""
MOST_ALIGNMENT, MOST_DIMENSIONS = 1 << 16, 4
WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text", list: "a list of texts"}


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """The location of a tensor. shape: in torch's order, rows first; start, size: bytes in the file."""

    name: str
    shape: tuple[int, ...]
    kind: Kind
    start: int
    size: int


class Container:
    """A GGUF file, memory-mapped. Raises DataError, naming file and key, if it is not a GGUF file or is broken."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with path.open("rb") as file:
                head = file.read(len(MAGIC))
                if head != MAGIC:
                    raise DataError(f"{path}: not a GGUF file: it begins with {head!r}")
                self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror}") from None
        reader = _Reader(path, self._map)
        self.metadata, self.tensors = _parse(reader)

    def rows(self, tensor: TensorInfo) -> npt.NDArray[np.uint8]:
        """The tensor's bytes, [rows, bytes of a row], not copied; a row is the last dimension."""
        raw = np.frombuffer(self._map, np.uint8, tensor.size, tensor.start)
        return raw.reshape(-1, tensor.shape[-1] // tensor.kind.elements * tensor.kind.size)

    def get(self, key: str, kind: type[T]) -> T | None:
        """The metadata value of `key`, None if there is none. Raises DataError if it is of another type."""
        value: object = self.metadata.get(key)
        if value is None:
            return None
        if kind is float and type(value) is int:
            value = float(value)
        if type(value) is not kind:
            raise DataError(f"{self.path}: {key} is {_shown(value)}, not {WORDS[kind]}")
        return value

    def need(self, key: str, kind: type[T]) -> T:
        """As `get`; raises DataError if there is none."""
        value = self.get(key, kind)
        if value is None:
            raise DataError(f"{self.path}: the metadata have no {key}")
        return value


class _Reader:
    """A place in the file that moves on; reading past the end is a DataError."""

    def __init__(self, path: Path, data: mmap.mmap) -> None:
        self.path, self.data, self.at = path, data, 0

    def take(self, size: int, what: str) -> int:
        """Advance by `size` bytes; returns the position before."""
        if size > len(self.data) - self.at:
            raise DataError(
                f"{self.path}: {what} reaches beyond the end of the file ({len(self.data):,} bytes): it is cut off or "
                "broken"
            )
        self.at += size
        return self.at - size

    def number(self, form: str, what: str) -> int:
        place = self.take(struct.calcsize(form), what)
        return int(struct.unpack_from(form, self.data, place)[0])

    def text(self, what: str) -> str:
        size = self.number("<Q", what)
        place = self.take(size, what)
        try:
            return self.data[place : place + size].decode()
        except UnicodeDecodeError:
            raise DataError(f"{self.path}: {what} is not UTF-8 text") from None

    def array(self, dtype: str, count: int, what: str) -> npt.NDArray[np.generic]:
        place = self.take(count * np.dtype(dtype).itemsize, what)
        return np.frombuffer(self.data, dtype, count, place)

    def flags(self, count: int, what: str) -> npt.NDArray[np.bool_]:
        raw = self.array("|u1", count, what).astype(np.uint8)
        if (raw > 1).any():
            raise DataError(f"{self.path}: {what} is neither true nor false")
        return raw.astype(np.bool_)


def _parse(reader: _Reader) -> tuple[Mapping[str, Value], Mapping[str, TensorInfo]]:
    reader.take(len(MAGIC), "the magic")
    version = reader.number("<I", "the version")
    if version not in (2, 3):
        swapped = " (big-endian files are not read)" if version in (2 << 24, 3 << 24) else ""
        raise DataError(f"{reader.path}: GGUF version {version} is not read, only 2 and 3{swapped}")
    tensors, entries = reader.number("<Q", "the tensor count"), reader.number("<Q", "the metadata count")
    room = len(reader.data) - reader.at
    if tensors * LEAST_TENSOR + entries * LEAST_ENTRY > room:
        raise DataError(
            f"{reader.path}: {tensors:,} tensors and {entries:,} metadata entries do not fit into the file: it is cut "
            "off or broken"
        )
    metadata: dict[str, Value] = {}
    for _ in range(entries):
        key = reader.text("a metadata key")
        if key in metadata:
            raise DataError(f"{reader.path}: the metadata key {key[:80]!r} occurs twice")
        metadata[key] = _value(reader, reader.number("<I", key[:80]), key[:80])
    return metadata, _table(reader, tensors, _alignment(reader, metadata))


def _value(reader: _Reader, kind: int, key: str) -> Value:
    if kind == STRING:
        return reader.text(key)
    if kind == ARRAY:
        return _array(reader, key)
    if kind not in NUMBERS:
        raise DataError(f"{reader.path}: {key} has the type {kind}, which GGUF does not have")
    if kind == BOOL:
        return bool(reader.flags(1, key)[0])
    number = reader.array(NUMBERS[kind], 1, key)[0]
    value: int | float = (
        float(str(number)) if isinstance(number, np.float32) else number.item()
    )  # 1e-05, not 9.99...e-06
    return value


def _array(reader: _Reader, key: str) -> Value:
    kind, count = reader.number("<I", key), reader.number("<Q", key)
    if kind == STRING:
        if count * 8 > len(reader.data) - reader.at:
            raise DataError(f"{reader.path}: {key} of {count:,} texts does not fit into the file")
        return [reader.text(f"{key}[{i}]") for i in range(count)]
    if kind not in NUMBERS:
        raise DataError(f"{reader.path}: {key} is an array of the type {kind}, which is not read")
    return reader.flags(count, key) if kind == BOOL else reader.array(NUMBERS[kind], count, key)


def _alignment(reader: _Reader, metadata: Mapping[str, Value]) -> int:
    value = metadata.get("general.alignment", ALIGNMENT)
    if type(value) is not int or not 0 < value <= MOST_ALIGNMENT or value & (value - 1):
        raise DataError(
            f"{reader.path}: general.alignment is {_shown(value)}, not a power of two up to {MOST_ALIGNMENT}"
        )
    return value


def _table(reader: _Reader, count: int, alignment: int) -> Mapping[str, TensorInfo]:
    found: dict[str, tuple[tuple[int, ...], Kind, int]] = {}
    for i in range(count):
        name = reader.text(f"the name of tensor {i}")
        if not name or name in found:
            raise DataError(f"{reader.path}: the tensor name {name[:80]!r} is {'there twice' if name else 'empty'}")
        what = f"tensor {name[:80]}"
        dimensions = reader.number("<I", what)
        if not 0 < dimensions <= MOST_DIMENSIONS:
            raise DataError(f"{reader.path}: {what} has {dimensions} dimensions, not 1 to {MOST_DIMENSIONS}")
        sizes = reader.array("<u8", dimensions, what).tolist()
        found[name] = (
            tuple(reversed(sizes)),
            _kind(reader.path, name, reader.number("<I", what)),
            reader.number("<Q", what),
        )
    start = reader.at + -reader.at % alignment
    table, next_offset = {}, 0
    for name, (shape, kind, offset) in found.items():
        elements = 1
        for size in shape:
            elements *= size
        if not elements or shape[-1] % kind.elements:
            raise DataError(f"{reader.path}: tensor {name} of the type {kind.name} cannot have the shape {list(shape)}")
        if offset != next_offset:
            raise DataError(f"{reader.path}: tensor {name} begins at {offset:,}, {next_offset:,} is expected")
        size = elements // kind.elements * kind.size
        if start + offset + size > len(reader.data):
            raise DataError(
                f"{reader.path}: tensor {name} reaches beyond the end of the file: it is truncated or broken"
            )
        table[name] = TensorInfo(name, shape, kind, start + offset, size)
        next_offset = offset + size + -size % alignment
    return table


def _kind(path: Path, name: str, number: int) -> Kind:
    if number in KINDS:
        return KINDS[number]
    readable = ", ".join(kind.name for kind in KINDS.values())
    raise DataError(
        f"{path}: tensor {name} has the type {OTHERS.get(number, number)}, which is not read, only {readable}; "
        "llama-quantize --allow-requantize FILE NEW q8_0 converts it"
    )


def _shown(value: object) -> str:
    text = "an array" if isinstance(value, np.ndarray) else repr(value)
    return text if len(text) <= 60 else text[:60] + "..."
