"""Forwards an engine's answer to one client, from its first bytes to its last."""

from __future__ import annotations

import json

import aiohttp
from aiohttp import web

from espalier.serving.gateway.engines.adapters import end_to_end
from espalier.serving.gateway.events import Passage
from espalier.serving.gateway.patience import Patience
from espalier.serving.gateway.refusals import ENGINE, UNAVAILABLE, error_body
from espalier.serving.gateway.ticket import CLOSING, Ticket

WAIT_HEADER, PLACE_HEADER = "X-Espalier-Wait", "X-Espalier-Place"
"""Headers of every answer: seconds that the request was held, and `instance:rank`."""
BROKEN = (aiohttp.ClientError, TimeoutError, OSError)
TAIL = 4096
"""Number of bytes at the end of an answer that are searched for usage."""


def is_stream(answer: aiohttp.ClientResponse) -> bool:
    """Whether the answer consists of events that can be parsed while they are forwarded. A compressed stream cannot
    be.
    """
    packed = answer.headers.get("Content-Encoding", "identity") != "identity"
    return answer.content_type == "text/event-stream" and not packed


class BrokenError(Exception):
    """The engine stopped before the end. Bytes that reached the client are not sent again."""


class AbortError(Exception):
    """Nothing more is sent to the client, and its connection is closed immediately."""


class Relay:
    """Forwards an answer byte for byte and records the result in the ticket's `outcome`.

    If a stream breaks off, is silent for `silence` seconds, or ends without `[DONE]`, an error event is added at its
    end. Other answers are truncated, so that they do not look complete. fault: the engine's error. tail: the last bytes
    that were forwarded.
    """

    def __init__(self, request: web.Request, answer: aiohttp.ClientResponse, ticket: Ticket, silence: float) -> None:
        self.request, self.answer, self.ticket, self.silence = request, answer, ticket, silence
        self.fault: str | None = None
        self.tail = b""
        self._listening = False
        self._events = Passage() if answer.status == 200 and is_stream(answer) else None
        self.response = web.StreamResponse(status=answer.status, reason=answer.reason)
        for name, value in end_to_end(answer.headers):
            self.response.headers.add(name, value)
        self.response.headers[WAIT_HEADER] = f"{ticket.held:.4f}"
        self.response.headers[PLACE_HEADER] = f"{ticket.instance}:{ticket.rank}"

    async def run(self, start: bytes) -> web.StreamResponse:
        """Forward the answer to its end, however it ends. start: the bytes that were already read."""
        try:
            await self._pass_or_cut(start)
            self._becomes("done" if self.answer.ok else "rejected")
            async with Patience(self.silence):
                await self.response.write_eof()
        except (AbortError, TimeoutError, ConnectionError):  # the client takes nothing, or is gone
            self._becomes("left")
            if self.request.transport is not None:
                self.request.transport.abort()
        return self.response

    async def _pass_or_cut(self, start: bytes) -> None:
        try:
            async with Patience(self.silence) as self.ticket.patience:
                await self.response.prepare(self.request)
                await self._pass_all(self.ticket.patience, start)
        except BrokenError as broken:
            await self._cut(str(broken))
        except TimeoutError:
            if not self._listening:
                raise
            await self._cut(None if self.ticket.ended else "it stopped responding")
        finally:
            self.ticket.patience = None

    async def _pass_all(self, patience: Patience, chunk: bytes) -> None:
        events = self._events
        while chunk:
            await self._write(chunk if events is None else events.take(chunk))
            patience.moved()
            chunk = await self._next()
            patience.moved()
        if events is not None:
            await self._write(events.last())
            if not events.done and events.error is None:
                raise BrokenError("its stream ended without [DONE]")

    async def _next(self) -> bytes:
        """The next bytes of the answer; empty at its end."""
        self._listening = True
        try:
            return await self.answer.content.readany()
        except BROKEN:
            raise BrokenError("its answer broke off") from None

    async def _write(self, data: bytes) -> None:
        """Write to the client. A stream ends with its final event, whether or not the client stays connected."""
        self._listening = False
        if data:
            await self.response.write(data)
            self.tail = (self.tail + data)[-TAIL:]
        if self._events is not None and (self._events.done or self._events.error):
            self._becomes("cut" if self._events.error else "done")

    async def _cut(self, fault: str | None) -> None:
        """The engine stopped or, without a fault of it, the gateway shuts down. After a stream's final event this
        changes nothing.
        """
        if self.ticket.outcome is not None:
            return
        self.ticket.outcome, self.fault = "cut", fault
        if self._events is None:
            raise AbortError
        error = error_body(CLOSING, UNAVAILABLE) if fault is None else error_body(f"the engine failed: {fault}", ENGINE)
        event = json.dumps(error)
        async with Patience(self.silence):
            await self.response.write(b"\n\n" * (not self._events.whole) + f"data: {event}\n\n".encode())

    def _becomes(self, outcome: str) -> None:
        self.ticket.outcome = self.ticket.outcome or outcome
