"""What references share: text by the rules of Unicode, tables, numbers and JSON, in as few words as will do."""

from __future__ import annotations

import ast
import json
import math
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from oracle import Open


def text(file: Path) -> str:
    """UTF-8, or what a byte-order mark says; lines end with line feeds."""
    content = file.read_bytes()
    for mark, name in (
        (b"\xff\xfe\0\0", "utf-32"),
        (b"\0\0\xfe\xff", "utf-32"),
        (b"\xff\xfe", "utf-16"),
        (b"\xfe\xff", "utf-16"),
    ):
        if content.startswith(mark):
            return content.decode(name).replace("\r\n", "\n").replace("\r", "\n")
    return content.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")


def rows(file: Path, separators: str = " ", comment: str = "") -> list[list[str]]:
    """The words of each line that has some. What follows a character of `comment` is left out."""
    found = []
    for line in text(file).split("\n"):
        line = re.split(f"[{re.escape(comment)}]", line)[0] if comment else line
        if words := re.sub(f"[{re.escape(separators)}]", " ", line).split():
            found.append(words)
    return found


def whole(word: str) -> int:
    """A whole number in decimal digits. What Python alone takes for one is open."""
    if not word.isascii() or "_" in word:
        int(word)
        raise Open
    return int(word)


def real(word: str) -> float:
    """A finite number. What Python alone takes for one is open."""
    number = float(word.strip())
    if not word.isascii() or "_" in word:
        raise Open
    if not math.isfinite(number):
        raise ValueError(word)
    return number


def count(word: str) -> int:
    """A whole number, also written as 472.0. Other ways to write one are open."""
    word = word.strip()
    if float(word) == int(float(word)) and not re.fullmatch(r" *[-+]?[0-9]+(\.0*)? *", word):
        raise Open
    return whole(word.partition(".")[0]) if float(word) == int(float(word)) else int(word)


def table(file: Path) -> list[dict[str, str]]:
    """A CSV with a header: simple cells, or such in double quotes. Stranger quoting is open."""
    found: list[list[str]] = []
    for line in text(file).split("\n"):
        if not line.strip():
            if not found:
                raise Open
            continue
        cells = line.split(",")
        if '"' in line:
            if not all(re.fullmatch(r'"[^"]*"|[^"]*', cell) for cell in cells):
                raise Open
            cells = [cell.strip('"') for cell in cells]
        found.append(cells if found else [name.strip() for name in cells])
    if len(set(found[0])) < len(found[0]) or any(len(row) != len(found[0]) for row in found):
        raise ValueError("ragged")
    return [dict(zip(found[0], row, strict=True)) for row in found[1:]]


def value(content: str) -> Any:
    """A JSON value. Half a surrogate pair is refused; NaN and a key twice are open, as RFC 8259 leaves them."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len({key for key, _ in pairs}) < len(pairs):
            raise Open
        return dict(pairs)

    def constant(_: str) -> Any:
        raise Open

    found = json.loads(content, object_pairs_hook=unique, parse_constant=constant)
    json.dumps(found, ensure_ascii=False).encode()
    return found


def values(file: Path) -> list[Any]:
    """Of JSON lines."""
    return [value(line) for line in text(file).split("\n") if line.strip()]


def npy(content: bytes) -> np.ndarray[Any, Any]:
    """An array of plain numbers in NumPy's format, version 1.0. Other versions and kinds are open."""
    if content[:6] != b"\x93NUMPY":
        raise ValueError("magic")
    if content[6:8] != b"\1\0":
        raise Open
    start = 10 + int.from_bytes(content[8:10], "little")
    head = ast.literal_eval(content[10:start].decode("latin-1"))
    if set(head) != {"descr", "fortran_order", "shape"} or not isinstance(head["fortran_order"], bool):
        raise ValueError("header")
    dtype, shape = np.dtype(head["descr"]), head["shape"]
    if dtype.kind not in "fiub" or dtype.str != head["descr"]:
        raise Open
    size = math.prod(shape) * dtype.itemsize
    if len(content) < start + size or min(shape, default=0) < 0:
        raise ValueError("cut")
    if len(content) > start + size or content[start - 1 : start] != b"\n":
        raise Open
    flat = np.frombuffer(content[start:], dtype)
    return flat.reshape(shape[::-1]).T if head["fortran_order"] else flat.reshape(shape)


def npz(file: Path) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of an archive, whose checksums must hold; other members are open."""
    with zipfile.ZipFile(file) as archive:
        if any(not name.endswith(".npy") for name in archive.namelist()):
            raise Open
        return {name.removesuffix(".npy"): npy(archive.read(name)) for name in archive.namelist()}


def png(file: Path) -> np.ndarray[Any, Any]:
    """Grey from 0 to 255 of a plain PNG of 8 bits without filters. Others, and broken checksums, are open."""
    content, place, parts = file.read_bytes(), 8, []
    if content[:8] != b"\x89PNG\r\n\x1a\n":
        raise ValueError("magic")
    while place < len(content):
        length, kind = int.from_bytes(content[place : place + 4], "big"), content[place + 4 : place + 8]
        data = content[place + 8 : place + 8 + length]
        if zlib.crc32(kind + data) != int.from_bytes(content[place + 8 + length : place + 12 + length], "big"):
            raise Open
        parts.append((kind, data))
        place += 12 + length
    if [kind for kind, _ in parts] != [b"IHDR", b"IDAT", b"IEND"] or parts[0][1][8:] != b"\x08\0\0\0\0":
        raise Open
    width, height = struct.unpack_from(">II", parts[0][1])
    pixels = np.frombuffer(zlib.decompress(parts[1][1]), np.uint8).reshape(height, width + 1)
    if pixels[:, 0].any():
        raise Open
    return pixels[:, 1:]


def safetensors(file: Path) -> dict[str, np.ndarray[Any, Any]]:
    """Tensors of 32-bit floats by name: a length, a JSON header, and bytes without gaps. Other types are open."""
    content = file.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    if start > len(content):
        raise ValueError("cut")
    head, found, end = value(content[8:start].decode()), {}, 0
    head.pop("__metadata__", None)
    for name, about in sorted(head.items(), key=lambda item: item[1]["data_offsets"]):
        first, last = about["data_offsets"]
        if set(about) != {"dtype", "shape", "data_offsets"} or about["dtype"] != "F32":
            raise Open
        if first != end or last - first != 4 * math.prod(about["shape"]) or last > len(content) - start:
            raise ValueError(about)
        found[name] = np.frombuffer(content[start + first : start + last], "<f4").reshape(about["shape"])
        end = last
    if end != len(content) - start:
        raise ValueError("size")
    return found
