"""Messages as bytes: there and back, and that no bytes are taken for a message that cannot be."""

from __future__ import annotations

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from espalier.core.errors import DataError
from espalier.robots.swarm.fleet.message import CRC, HEAD, Message, decode, encode
from espalier.robots.swarm.fleet.roster import Allotment
from espalier.robots.swarm.traj.trajectory import Trajectory

N = 5
FIRST = Allotment(0, 0, np.arange(N))


def message(pieces: int = 2, allotment: Allotment = FIRST) -> Message:
    rng = np.random.default_rng(pieces)
    path = Trajectory(rng.normal(size=(pieces, 6, 3)), rng.uniform(0.5, 2.0, pieces), 12.25)
    return Message(3, 12.5, path, 4, allotment)


@pytest.mark.parametrize("pieces", [1, 3, 8])
@pytest.mark.parametrize("allotment", [FIRST, Allotment(2, 1, np.array([4, -1, 0, 1, 2]))])
def test_there_and_back(pieces: int, allotment: Allotment) -> None:
    said = message(pieces, allotment)
    data = encode(said)
    assert len(data) == HEAD.size + 4 * 19 * pieces + (2 * N if allotment.round else 0) + CRC
    found = decode(data, N)
    assert (found.sender, found.sent_s, found.slot, found.trajectory.start_s) == (3, 12.5, 4, 12.25)
    assert found.allotment[:2] == allotment[:2]
    assert found.allotment.slot.tolist() == allotment.slot.tolist()
    times = np.linspace(12.0, 16.0, 50)
    np.testing.assert_allclose(found.trajectory.position(times), said.trajectory.position(times), rtol=1e-5, atol=1e-4)


def test_sizes_are_as_documented() -> None:
    assert [len(encode(message(pieces))) for pieces in (1, 2, 3)] == [108, 184, 260]


def signed(data: bytes) -> bytes:
    """With the CRC that it should have."""
    return data[:-CRC] + zlib.crc32(data[:-CRC]).to_bytes(CRC, "little")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda data: b"", "too short"),
        (lambda data: data[:10], "too short"),
        (lambda data: data[:-1], "no message"),
        (lambda data: data + b"\0", "no message"),
        (lambda data: b"\2" + data[1:], "version 1"),
        (lambda data: data[:2] + (7).to_bytes(2, "little") + data[4:], "vehicle 7"),
        (lambda data: data[:4] + (5).to_bytes(2, "little") + data[6:], "cannot be"),
        (lambda data: data[: HEAD.size] + np.float32("nan").tobytes() + data[HEAD.size + 4 :], "cannot be"),
        (lambda data: data[: HEAD.size] + np.float32(-1).tobytes() + data[HEAD.size + 4 :], "cannot be"),
        (lambda data: data[: HEAD.size + 8] + np.float32(1e8).tobytes() + data[HEAD.size + 12 :], "cannot be"),
    ],
)
def test_damage_is_named(spoil: object, says: str) -> None:
    assert callable(spoil)
    with pytest.raises(DataError, match=says):
        decode(signed(spoil(encode(message()))), N)


def test_a_flipped_bit_is_noticed() -> None:
    data = encode(message())
    for at in range(len(data)):
        spoilt = bytearray(data)
        spoilt[at] ^= 1 << (at % 8)
        with pytest.raises(DataError):
            decode(bytes(spoilt), N)


@settings(deadline=None, max_examples=300)
@given(st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4), st.integers(0, 200), st.booleans())
def test_whatever_arrives_is_a_message_that_can_be_or_an_error(
    spoilt: list[tuple[int, int]], length: int, sign: bool
) -> None:
    data = bytearray(encode(message(2, Allotment(2, 1, np.array([4, -1, 0, 1, 2])))))[: length + 20]
    for at, value in spoilt:
        if at < len(data):
            data[at] = value
    try:
        found = decode(signed(bytes(data)) if sign else bytes(data), N)
    except DataError:
        return
    assert 0 <= found.sender < N
    assert -1 <= found.slot < N
    assert np.isfinite(found.trajectory.position(np.linspace(0.0, 20.0, 9))).all()
    assert len(found.allotment.slot) == N
