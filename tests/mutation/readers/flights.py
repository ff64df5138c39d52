"""Slots, pictures, flights and messages."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import reference as plainly
from mutators import (
    BINARY,
    NEUTRAL_TEXT,
    OTHER_TEXT,
    bad_byte,
    blank_after,
    cut,
    mistyped,
    named,
    quoted,
    ragged,
    reordered,
)
from oracle import Open, Reader

from espalier.robots.swarm.fleet.message import Message, decode, encode
from espalier.robots.swarm.fleet.recording import ARRAYS, Recording
from espalier.robots.swarm.fleet.roster import Allotment
from espalier.robots.swarm.formation.image import _read
from espalier.robots.swarm.formation.points import points
from espalier.robots.swarm.traj.trajectory import Trajectory
from espalier.robots.swarm.world.config import FloorPlanConfig
from espalier.robots.swarm.world.loaders import _shades
from espalier.robots.swarm.world.world import World

SLOTS = np.array([[0.5, -1.0, 2.0], [1.5, 0.25, 2.0], [3.0, 4.0, 1e-3], [-2.0, 0.0, 0.0], [7.0, 7.5, 8.0]])


def _slots_csv(folder: Path) -> Path:
    file = folder / "slots.csv"
    rows = [f"{k},{x},{y},{z}" for k, (x, y, z) in enumerate(SLOTS.tolist())]
    file.write_text("\n".join(["slot,x,y,z", *rows]) + "\n")
    return file


def _slots_reference(file: Path) -> Any:
    rows = [line for line in plainly.text(file).split("\n") if line.strip()]
    separator = next((each for each in ",;\t" if each in rows[0]), None)
    if all(re.fullmatch(r'( *"[^",]*" *,?)+', row) for row in rows):
        rows = [row.replace('"', "") for row in rows]
    if any('"' in row for row in rows):
        raise Open
    cells = [[cell.strip() for cell in row.split(separator)] for row in rows]
    head = [name.lower() for name in cells[0]]
    if any(len(row) != len(head) for row in cells) or len(cells) != 6 or len(set(head)) < len(head):
        raise ValueError("ragged")
    found = np.array([[plainly.real(row[head.index(axis)]) for axis in "xyz"] for row in cells[1:]])
    return found - found.mean(0)


def _cased(content: bytes, _: Any) -> Any:
    return content.replace(b"slot,x,y,z", b"Slot, X,Y ,Z"), None


def _separated(separator: bytes) -> Any:
    return named(f"separator {separator!r}", lambda content, _: (content.replace(b",", separator), None))


CSV = Reader(
    "swarm/slots.csv",
    _slots_csv,
    lambda file: points(file, 5),
    _slots_reference,
    (
        *NEUTRAL_TEXT,
        blank_after,
        quoted,
        reordered(),
        named("header's case", _cased),
        _separated(b";"),
        _separated(b"  "),
        _separated(b"\t"),
    ),
    (
        bad_byte,
        ragged(b","),
        mistyped(b",", (1, 2, 3)),
        named("not finite", lambda content, _: (content.replace(b"0.25", b"nan"), 3)),
    ),
    OTHER_TEXT,
)


def _slots_npy(folder: Path) -> Path:
    np.save(folder / "slots.npy", SLOTS)
    return folder / "slots.npy"


def _npy_reference(file: Path) -> Any:
    found = plainly.npy(file.read_bytes())
    if found.shape != SLOTS.shape or not np.isfinite(found.astype(float)).all():
        raise ValueError(found)
    if found.dtype.kind not in "fiu":
        raise Open
    return found.astype(float) - found.astype(float).mean(0)


NPY = Reader("swarm/slots.npy", _slots_npy, lambda file: points(file, 5), _npy_reference, (), (cut,), BINARY)


def _picture(folder: Path) -> Path:
    pixels = np.full((12, 16), 255, np.uint8)
    pixels[3:9, 2:7] = 0
    pixels[5, 9:14] = np.arange(0, 250, 50)
    packed = zlib.compress(np.pad(pixels, ((0, 0), (1, 0))).tobytes())
    head = struct.pack(">IIBBBBB", 16, 12, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", packed), (b"IEND", b"")]
    parts = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return folder / "picture.png"


def _halved(content: bytes, rng: Any) -> Any:
    """Cut within the pixels."""
    return content[: rng.randrange(20, len(content) - 30)], None


PICTURES = [
    Reader("swarm/picture.png", _picture, lambda file: _read(file)[0], plainly.png, (), (_halved,), BINARY),
    Reader(
        "swarm/floor plan.png",
        _picture,
        lambda file: _shades(FloorPlanConfig(file=file)),
        lambda file: plainly.png(file) / 255.0,
        (),
        (_halved,),
        BINARY,
    ),
]


def _flight(folder: Path) -> Path:
    times, n = np.arange(3) / 2, 2
    flags = np.zeros((3, n), bool)
    occupancy = np.zeros((2, 2, 2), bool)
    occupancy[0] = True
    Recording(
        times,
        np.arange(18.0).reshape(3, n, 3),
        np.tile(np.arange(n), (3, 1)),
        np.zeros(3, np.int64),
        np.ones((1, n, 3)),
        np.zeros((1, 3)),
        flags,
        flags,
        World.of_occupancy(occupancy, np.zeros(3), 0.5),
    ).save(folder / "flight.npz")
    return folder / "flight.npz"


def _recorded(file: Path) -> Any:
    found = Recording.load(file)
    return {name: getattr(found, name) for name in ARRAYS}


def _flight_reference(file: Path) -> Any:
    arrays = plainly.npz(file)
    if set(arrays) != {*ARRAYS, "occupancy", "origin", "cell_m"}:
        raise KeyError(set(arrays))
    return {name: arrays[name] for name in ARRAYS}


FLIGHT = Reader("swarm/flight.npz", _flight, _recorded, _flight_reference, (), (cut,), BINARY)


def _message(folder: Path) -> Path:
    path = Trajectory(np.arange(36.0).reshape(2, 6, 3), np.array([1.0, 2.0]), 0.5)
    said = Message(1, 0.25, path, 2, Allotment(1, 0, np.array([1, 0, 2, -1], np.int64)))
    (folder / "message").write_bytes(encode(said))
    return folder / "message"


def _intact(file: Path) -> Any:
    content = file.read_bytes()
    if zlib.crc32(content[:-4]) != int.from_bytes(content[-4:], "little"):
        raise ValueError("checksum")
    return decode(content, 4)


MESSAGE = Reader(
    "swarm/message", _message, lambda file: decode(file.read_bytes(), 4), _intact, (), (cut,), BINARY, names_file=False
)


READERS = [CSV, NPY, *PICTURES, FLIGHT, MESSAGE]
