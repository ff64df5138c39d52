"""Messages between a process and its own child, over a socket of the two: pickles, each after its length in bytes."""

from __future__ import annotations

import asyncio
import pickle
import socket
from collections.abc import Callable
from typing import Any

_HEAD = 8
"""Bytes of the length."""


class Wire(asyncio.Protocol):
    """One end. `take` is called with each message, `lost` once when the other end is gone. With `gather`, the messages
    of one turn of the event loop are sent together, at its end or by `flush`.
    """

    def __init__(self, take: Callable[[Any], None], lost: Callable[[], None], *, gather: bool = False) -> None:
        self._gather = gather
        self._take = take
        self._lost = lost
        self._buffer = bytearray()
        self._transport: asyncio.WriteTransport | None = None
        self._unsent: list[bytes] = []

    @classmethod
    async def over(
        cls, end: socket.socket, take: Callable[[Any], None], lost: Callable[[], None], *, gather: bool = False
    ) -> Wire:
        """The wire over one end of a pair of connected sockets, which it then owns."""
        _, wire = await asyncio.get_running_loop().create_unix_connection(
            lambda: cls(take, lost, gather=gather), sock=end
        )
        return wire

    def send(self, message: Any) -> None:
        """Send a message. It never waits; what the other end has not read yet is kept."""
        self._unsent += _framed(message)
        if not self._gather:
            self.flush()
        elif len(self._unsent) == 2:
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        """Send what was gathered."""
        whole = b"".join(self._unsent)
        self._unsent.clear()
        if whole and self._transport is not None and not self._transport.is_closing():
            self._transport.write(whole)

    def close(self) -> None:
        """Close this end. What was sent before is still sent."""
        self.flush()
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See `asyncio.Protocol`."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= _HEAD:
            end = start + _HEAD + int.from_bytes(self._buffer[start : start + _HEAD], "little")
            if len(self._buffer) < end:
                break
            self._take(pickle.loads(memoryview(self._buffer)[start + _HEAD : end]))  # from our own other half
            start = end
        del self._buffer[:start]

    def connection_lost(self, error: Exception | None) -> None:
        """See `asyncio.Protocol`."""
        self._lost()


def _framed(message: Any) -> tuple[bytes, bytes]:
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return len(body).to_bytes(_HEAD, "little"), body
