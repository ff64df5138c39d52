"""An engine's answer on its way to one client, from its first bytes to its last."""

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
"""In every answer: seconds that the request was held, and `instance:rank`."""
BROKEN = (aiohttp.ClientError, TimeoutError, OSError)
TAIL = 4096
"""Bytes of an answer's end in which usage is looked for."""


def is_stream(answer: aiohttp.ClientResponse) -> bool:
    """Whether it consists of events that can be read on their way: what is packed in spite of all passes as it is."""
    packed = answer.headers.get("Content-Encoding", "identity") != "identity"
    return answer.content_type == "text/event-stream" and not packed


class BrokenError(Exception):
    """The engine stopped before the end. What reached the client is not sent again."""


class AbortError(Exception):
    """Nothing more goes to the client, and its connection is closed as it stands."""


class Relay:
    """Passes an answer on, byte for byte, and says in the ticket's `outcome` what became of it.

    A stream that breaks off, falls silent for `silence` seconds, or ends without `[DONE]` gets an error event for its
    end; an answer of another kind is cut short, so that it does not look whole. fault: what the engine did wrong. tail:
    the last bytes that passed.
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
        """To the end of the answer, however that comes about; `start` is what of it was read already."""
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
            await self._cut(None if self.ticket.ended else "it has fallen silent")
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
        """More of the answer; nothing at its end."""
        self._listening = True
        try:
            return await self.answer.content.readany()
        except BROKEN:
            raise BrokenError("its answer broke off") from None

    async def _write(self, data: bytes) -> None:
        """To the client. A stream is over with the event that says so, whether the client stays for more or not."""
        self._listening = False
        if data:
            await self.response.write(data)
            self.tail = (self.tail + data)[-TAIL:]
        if self._events is not None and (self._events.done or self._events.error):
            self._becomes("cut" if self._events.error else "done")

    async def _cut(self, fault: str | None) -> None:
        """The engine stopped, or without a fault the gateway. After its last event that changes nothing of a stream."""
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
