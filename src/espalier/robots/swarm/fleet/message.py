"""What vehicles say to each other, and as bytes for a radio. Little-endian; metres and seconds. The format is ours.

head: version 1, pieces (uint8 each), sender (uint16), slot (int16), when it was said, when the path begins (float64
each), the round of the allotment, who made it, how many slots it has (uint16 each). Then durations (pieces) and
coefficients (pieces, 6, 3) as float32, the slots of the allotment as int16, none where there has been no allotment, and
the CRC-32 of all this (uint32).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np

from espalier.core.errors import DataError
from espalier.robots.swarm.fleet.roster import Allotment
from espalier.robots.swarm.traj.trajectory import Trajectory

HEAD = struct.Struct("<BBHhddHHH")
VERSION, CRC = 1, 4
MOST, MOST_S = 1e7, 1e10
"""No number of a path is larger, in metres and seconds; and no time."""


@dataclass(frozen=True)
class Message:
    """What a vehicle says: who it is, when it said so first (seconds), how it means to fly, which slot it holds, and by
    which allotment.
    """

    sender: int
    sent_s: float
    trajectory: Trajectory
    slot: int
    allotment: Allotment


def encode(message: Message) -> bytes:
    """108 bytes for a path of one piece, 76 more for each further one, 2 more for each slot of an allotment."""
    path, told = message.trajectory, message.allotment
    slots = told.slot if told.round else told.slot[:0]
    head = HEAD.pack(
        VERSION,
        len(path.durations),
        message.sender,
        message.slot,
        message.sent_s,
        path.start_s,
        told.round,
        told.by,
        len(slots),
    )
    numbers = np.concatenate([path.durations, path.coefficients.ravel()]).astype("<f4")
    said = head + numbers.tobytes() + slots.astype("<i2").tobytes()
    return said + zlib.crc32(said).to_bytes(CRC, "little")


def decode(data: bytes, n: int) -> Message:
    """A message of one of n vehicles, with numbers rounded to 32 bits. Raises DataError for what is none."""
    try:
        version, pieces, sender, slot, sent_s, start_s, round_, by, count = HEAD.unpack_from(data)
    except struct.error:
        raise DataError(f"a message of {len(data)} bytes is too short") from None
    numbers = 19 * pieces
    if version != VERSION or not pieces or len(data) != HEAD.size + 4 * numbers + 2 * count + CRC:
        raise DataError(f"{len(data)} bytes are no message of version {VERSION}")
    if zlib.crc32(data[:-CRC]) != int.from_bytes(data[-CRC:], "little"):
        raise DataError(f"a message of {len(data)} bytes arrived damaged")
    values = np.frombuffer(data, "<f4", numbers, HEAD.size).astype(np.float64)
    slots = np.frombuffer(data, "<i2", count, HEAD.size + 4 * numbers).astype(np.int64)
    durations, coefficients = values[:pieces], values[pieces:].reshape(pieces, 6, 3)
    sane = max(abs(sent_s), abs(start_s)) <= MOST_S and (np.abs(values) <= MOST).all() and (durations > 0.0).all()
    whose = max(sender, by) < n and -1 <= slot < n and count in (0, n) and (count > 0) == (round_ > 0)
    if not (sane and whose and (np.abs(slots) < n).all() and (slots >= -1).all()):
        raise DataError(f"a message of vehicle {sender} has numbers that cannot be, among {n} vehicles")
    allotment = Allotment(round_, by, slots if count else np.arange(n, dtype=np.int64))
    return Message(sender, sent_s, Trajectory(coefficients, durations, start_s), slot, allotment)
