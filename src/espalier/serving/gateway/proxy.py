"""One request through the gateway: wait for a place, relay the answer byte for byte, try once more if nothing came."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic

import aiohttp
from aiohttp import web

from espalier.core.errors import EngineError
from espalier.serving.gateway.adapters import end_to_end, posting
from espalier.serving.gateway.config import GatewayConfig
from espalier.serving.gateway.dispatcher import Dispatcher
from espalier.serving.gateway.events import begun, error_in
from espalier.serving.gateway.measures import Measures
from espalier.serving.gateway.ticket import Ticket
from espalier.serving.gateway.tokens import TokenEstimate, reported_tokens

log = logging.getLogger("espalier.gateway")
TAIL = 4096
"""Bytes of an answer's end in which usage is looked for."""
WAIT_HEADER, PLACE_HEADER = "X-Espalier-Wait", "X-Espalier-Place"
"""In every answer: seconds that the request was held, and `instance:rank`."""
BROKEN = (aiohttp.ClientError, TimeoutError, OSError)
BUSY = 429
STREAM = "text/event-stream"


class FailedError(Exception):
    """No byte reached the client. blame: whether the engine is to blame. final: nobody listens there."""

    def __init__(self, message: str, *, blame: bool = True, final: bool = False) -> None:
        super().__init__(message)
        self.blame, self.final = blame, final


class Proxy:
    """Answers requests that hold a ticket."""

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
        """The engine's answer, or an error if two engines failed before the first byte. limit: seconds to be held."""
        try:
            return await self._answer(request, body, ticket, limit)
        except asyncio.CancelledError:
            self.measures.requests.labels("left").inc()
            raise

    async def _answer(self, request: web.Request, body: bytes, ticket: Ticket, limit: float) -> web.StreamResponse:
        try:
            await asyncio.wait_for(ticket.placed, limit)
        except TimeoutError:
            self.measures.requests.labels("expired").inc()
            headers = {"Retry-After": f"{self.dispatcher.drain_seconds():.0f}"}
            return _error(503, f"no engine had room within {limit:g} s", headers)
        ticket.held = monotonic() - ticket.request.arrival
        self.measures.wait.observe(ticket.held)
        try:
            return await self._relay(request, body, ticket)
        except FailedError as failed:
            failure = str(failed)
            self._note(ticket, failed)
        try:
            self.dispatcher.again(ticket)
            self.measures.retries.inc()
            return await self._relay(request, body, ticket)
        except EngineError as error:
            failure += f"; {error}"
        except FailedError as failed:
            failure = str(failed)
            self._note(ticket, failed)
        self.measures.requests.labels("failed").inc()
        return _error(502, f"the engine failed: {failure}")

    def _note(self, ticket: Ticket, failed: FailedError) -> None:
        if failed.blame:
            self.dispatcher.failed(ticket.instance, str(failed), final=failed.final)
        log.warning("request %d, instance %d: %s", ticket.request.id, ticket.instance, failed)

    async def _relay(self, request: web.Request, body: bytes, ticket: Ticket) -> web.StreamResponse:
        decision = ticket.decision
        assert decision is not None
        target = self.config.targets[decision.instance]
        sent = posting(
            target,
            decision.rank,
            request.path_qs,
            request.headers,
            body,
            batch=ticket.batch,
            number=ticket.number,
        )
        answer: aiohttp.ClientResponse | None = None
        limit = self.config.first_byte_seconds if ticket.streamed else self.config.answer_seconds
        try:
            try:
                async with asyncio.timeout(limit) as ticket.patience:
                    answer = await self.session.post(
                        sent.url, data=sent.body, headers=sent.headers, allow_redirects=False
                    )
                    start = await _start(answer)
            except aiohttp.ClientConnectorError as error:
                raise FailedError(f"cannot connect ({error.os_error.strerror})", final=True) from None
            except BROKEN as error:
                if not ticket.streamed and isinstance(error, TimeoutError) and self._is_well(ticket):
                    self.measures.requests.labels("expired").inc()
                    return _error(504, f"there was no whole answer within {limit:g} s")
                raise FailedError(f"the connection failed: {type(error).__name__} {error}".rstrip()) from None
            finally:
                ticket.patience = None
            self._check(answer, start, ticket)
            good = answer.status < 400
            self.dispatcher.first_byte(ticket, good=good)
            if good and ticket.streamed:
                self.measures.ttft.observe(monotonic() - ticket.request.arrival)
            return await self._stream(request, answer, start, ticket)
        finally:
            if answer is not None:
                answer.close()

    def _is_well(self, ticket: Ticket) -> bool:
        """Whether the time was up for the request alone, and not because its instance was lost."""
        return self.dispatcher.pool.instances[ticket.instance].alive

    def _check(self, answer: aiohttp.ClientResponse, start: bytes, ticket: Ticket) -> None:
        """Raise where this is no answer, or one that another engine may better."""
        if answer.status >= 500:
            raise FailedError(f"it answered {answer.status}: {start[:200].decode(errors='replace')}")
        if answer.status == BUSY and self.dispatcher.elsewhere(ticket):
            raise FailedError("it is busy", blame=False)
        if answer.status == 200 and (said := error_in(start)):
            raise FailedError(f"its answer began with an error: {said}")
        if answer.status == 200 and not (begun(start) if answer.content_type == STREAM else start):
            raise FailedError("its answer ended before it began")

    async def _stream(
        self, request: web.Request, answer: aiohttp.ClientResponse, start: bytes, ticket: Ticket
    ) -> web.StreamResponse:
        """Relay from the first byte on. What breaks now cuts the client's stream short: nothing is sent twice."""
        response = web.StreamResponse(status=answer.status, reason=answer.reason)
        for name, value in end_to_end(answer.headers):
            response.headers.add(name, value)
        assert ticket.decision is not None
        response.headers[WAIT_HEADER] = f"{ticket.held:.4f}"
        response.headers[PLACE_HEADER] = f"{ticket.decision.instance}:{ticket.decision.rank}"
        tail, chunk = b"", start
        try:
            await response.prepare(request)
            while chunk:
                await response.write(chunk)
                tail = (tail + chunk)[-TAIL:]
                try:
                    chunk = await answer.content.readany()
                except BROKEN:
                    return self._cut(request, response, ticket)
            await response.write_eof()
        except ConnectionResetError:
            self.measures.requests.labels("left").inc()
            return response
        self.measures.requests.labels("done").inc()
        if answer.status < 400:
            self.dispatcher.done(ticket)
        if (tokens := reported_tokens(tail)) is not None:
            self.estimate.learn(ticket.text, tokens)
        return response

    def _cut(self, request: web.Request, response: web.StreamResponse, ticket: Ticket) -> web.StreamResponse:
        """The engine broke off: so does this answer, without the end that would make it look whole."""
        self.measures.requests.labels("cut").inc()
        self.dispatcher.failed(ticket.instance, "a stream broke off")
        if request.transport is not None:
            request.transport.abort()
        return response


async def _start(answer: aiohttp.ClientResponse) -> bytes:
    """What an answer begins with: of a stream its first event, comments aside; all there is where it ends before."""
    start = await answer.content.readany()
    if answer.content_type == STREAM:
        while not begun(start) and (more := await answer.content.readany()):
            start += more
    return start


def _error(status: int, message: str, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "engine_error"}}, status=status, headers=headers)
