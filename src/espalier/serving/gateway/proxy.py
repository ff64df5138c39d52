"""One request through the gateway: wait for a place, forward the answer, retry once if no byte arrived."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic

import aiohttp
from aiohttp import web

from espalier.core.errors import EngineError
from espalier.serving.gateway.config import GatewayConfig
from espalier.serving.gateway.dispatcher import Dispatcher
from espalier.serving.gateway.engines.adapters import posting
from espalier.serving.gateway.events import begun, error_in
from espalier.serving.gateway.measures import Measures
from espalier.serving.gateway.patience import Patience
from espalier.serving.gateway.refusals import ENGINE, UNAVAILABLE, refuse
from espalier.serving.gateway.relay import BROKEN, Relay, is_stream
from espalier.serving.gateway.ticket import CLOSING, Ticket
from espalier.serving.gateway.tokens import TokenEstimate, reported_tokens

log = logging.getLogger("espalier.gateway")
BUSY = 429


class FailedError(Exception):
    """An engine failed before any byte reached the client. blame: the failure counts against the engine. final: nothing
    listens on its address.
    """

    def __init__(self, message: str, *, blame: bool = True, final: bool = False) -> None:
        super().__init__(message)
        self.blame, self.final = blame, final


class Proxy:
    """Answers requests that have a ticket."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        config: GatewayConfig,
        dispatcher: Dispatcher,
        measures: Measures,
        estimate: TokenEstimate,
    ) -> None:
        self.session, self.config, self.dispatcher = session, config, dispatcher
        self.measures, self.estimate = measures, estimate

    async def answer(self, request: web.Request, body: bytes, ticket: Ticket, limit: float) -> web.StreamResponse:
        """The engine's answer, or an error if two engines failed before the first byte. limit: seconds that the request
        may be held.
        """
        try:
            return await self._answer(request, body, ticket, limit)
        except asyncio.CancelledError:
            if ticket.ended and not ticket.answered:
                ticket.outcome = "refused"
                return refuse(503, CLOSING, UNAVAILABLE)
            ticket.outcome = ticket.outcome or "left"
            raise
        finally:
            self.measures.requests.labels(ticket.outcome or "failed").inc()

    async def _answer(self, request: web.Request, body: bytes, ticket: Ticket, limit: float) -> web.StreamResponse:
        try:
            await asyncio.wait_for(ticket.placed, limit)
        except TimeoutError:
            ticket.outcome = "expired"
            headers = {"Retry-After": f"{self.dispatcher.drain_seconds():.0f}"}
            return refuse(503, f"no engine had room within {limit:g} s", ENGINE, headers=headers)
        ticket.held = monotonic() - ticket.request.arrival
        self.measures.wait.observe(ticket.held)
        try:
            return await self._try(request, body, ticket)
        except FailedError as failed:
            failure = str(failed)
            self._note(ticket, failed)
        try:
            self.dispatcher.again(ticket)
            self.measures.retries.inc()
            return await self._try(request, body, ticket)
        except EngineError as error:
            failure += f"; {error}"
        except FailedError as failed:
            failure = str(failed)
            self._note(ticket, failed)
        return refuse(502, f"the engine failed: {failure}", ENGINE)

    def _note(self, ticket: Ticket, failed: FailedError) -> None:
        if failed.blame:
            self.dispatcher.failed(ticket.instance, str(failed), final=failed.final)
        log.warning("request %d, instance %d: %s", ticket.request.id, ticket.instance, failed)

    async def _try(self, request: web.Request, body: bytes, ticket: Ticket) -> web.StreamResponse:
        """Send the request to the ticket's engine. Raises FailedError if no answer begins."""
        sent = posting(self.config, ticket, request.path_qs, request.headers, body)
        answer: aiohttp.ClientResponse | None = None
        limit = self.config.first_byte_seconds if ticket.streamed else self.config.answer_seconds
        patience = Patience(limit)
        try:
            try:
                async with patience:
                    ticket.patience = patience
                    answer = await self.session.post(
                        sent.url, data=sent.body, headers=sent.headers, allow_redirects=False
                    )
                    start = await _start(answer)
            except aiohttp.ClientConnectorError as error:
                raise FailedError(f"cannot connect ({error.os_error.strerror})", final=True) from None
            except BROKEN as error:
                if ticket.ended:
                    ticket.outcome = "refused"
                    return refuse(503, CLOSING, UNAVAILABLE)
                if patience.hurried or (patience.expired and not self._is_well(ticket)):
                    raise FailedError("it stopped responding", blame=not patience.hurried) from None  # it was, already
                if patience.expired and not ticket.streamed:
                    ticket.outcome = "expired"
                    return refuse(504, f"there was no whole answer within {limit:g} s", ENGINE)
                raise FailedError(f"the connection failed: {type(error).__name__} {error}".rstrip()) from None
            finally:
                ticket.patience = None
            self._check(answer, start, ticket)
            good = answer.status < 400
            self.dispatcher.first_byte(ticket, good=good)
            if good and ticket.streamed:
                self.measures.ttft.observe(monotonic() - ticket.request.arrival)
            return await self._relay(request, answer, start, ticket)
        finally:
            if answer is not None:
                answer.close()

    async def _relay(
        self, request: web.Request, answer: aiohttp.ClientResponse, start: bytes, ticket: Ticket
    ) -> web.StreamResponse:
        relay = Relay(request, answer, ticket, self.config.stream_silence)
        try:
            return await relay.run(start)
        finally:
            if ticket.outcome == "done":
                self.dispatcher.done(ticket)
                if (tokens := reported_tokens(relay.tail)) is not None:
                    self.estimate.learn(ticket.text, tokens)
            elif relay.fault is not None:
                log.warning("request %d, instance %d: %s", ticket.request.id, ticket.instance, relay.fault)
                self.dispatcher.failed(ticket.instance, relay.fault)

    def _is_well(self, ticket: Ticket) -> bool:
        """Whether only this request timed out, and not because its instance was lost."""
        return self.dispatcher.pool.instances[ticket.instance].alive

    def _check(self, answer: aiohttp.ClientResponse, start: bytes, ticket: Ticket) -> None:
        """Raise FailedError if this is not an answer, or if another engine may give a better one."""
        if answer.status >= 500:
            raise FailedError(f"it answered {answer.status}: {start[:200].decode(errors='replace')}")
        if answer.status == BUSY and self.dispatcher.elsewhere(ticket):
            raise FailedError("it is busy", blame=False)
        if answer.status == 200 and (said := error_in(start)):
            raise FailedError(f"its answer began with an error: {said}")
        if answer.status == 200 and not (begun(start) if is_stream(answer) else start):
            raise FailedError("its answer ended before it began")


async def _start(answer: aiohttp.ClientResponse) -> bytes:
    """The beginning of an answer: the first event of a stream (ignoring comments), or everything if it ends before."""
    start = await answer.content.readany()
    if is_stream(answer):
        while not begun(start) and (more := await answer.content.readany()):
            start += more
    return start
