"""One request through the gateway: wait for a place, relay the answer byte for byte, try once more if nothing came."""

from __future__ import annotations

import asyncio
from time import monotonic

import aiohttp
from aiohttp import web

from espalier.core.errors import EngineError
from espalier.serving.core.types import Decision
from espalier.serving.gateway.adapters import HOP_BY_HOP, upstream
from espalier.serving.gateway.config import GatewayConfig
from espalier.serving.gateway.dispatcher import Dispatcher, Ticket
from espalier.serving.gateway.measures import Measures
from espalier.serving.gateway.tokens import TokenEstimate, error_in, reported_tokens

TAIL = 4096
"""Bytes of an answer's end in which usage is looked for."""
WAIT_HEADER, PLACE_HEADER = "X-Espalier-Wait", "X-Espalier-Place"
"""In every answer: seconds that the request was held, and `instance:rank`."""
BROKEN = (aiohttp.ClientError, TimeoutError, OSError)


class FailedError(Exception):
    """No byte reached the client. final: nobody listens there."""

    def __init__(self, message: str, final: bool = False) -> None:
        super().__init__(message)
        self.final = final


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

    async def answer(self, request: web.Request, body: bytes, ticket: Ticket, text: int) -> web.StreamResponse:
        """The engine's answer, or an error if two engines failed before the first byte."""
        try:
            decision = await asyncio.wait_for(ticket.placed, self.config.deadline_seconds)
        except TimeoutError:
            self.measures.requests.labels("expired").inc()
            return _error(503, f"no engine had room within {self.config.deadline_seconds:g} s")
        ticket.held = monotonic() - ticket.request.arrival
        self.measures.wait.observe(ticket.held)
        failure = ""
        for attempt in range(2):
            try:
                return await self._relay(request, body, ticket, decision, text)
            except FailedError as failed:
                failure = str(failed)
                self.dispatcher.failed(decision.instance, final=failed.final)
            except asyncio.CancelledError:
                self.measures.requests.labels("left").inc()
                raise
            if attempt == 0:
                try:
                    decision = self.dispatcher.again(ticket)
                except EngineError as error:
                    failure += f"; {error}"
                    break
                self.measures.retries.inc()
        self.measures.requests.labels("failed").inc()
        return _error(502, failure)

    async def _relay(
        self, request: web.Request, body: bytes, ticket: Ticket, decision: Decision, text: int
    ) -> web.StreamResponse:
        target = self.config.targets[decision.instance]
        url, headers, body = upstream(target, decision.rank, request.path_qs, request.headers, body, ticket.batch)
        try:
            async with asyncio.timeout(self.config.first_byte_seconds):
                answer = await self.session.post(url, data=body, headers=headers)
                first = await answer.content.readany()
        except aiohttp.ClientConnectorError as error:
            raise FailedError(f"{url}: {error}", final=True) from None
        except BROKEN as error:
            raise FailedError(f"{url}: {type(error).__name__} {error}") from None
        try:
            if answer.status >= 500:
                raise FailedError(f"{url} answered {answer.status}: {first[:200].decode(errors='replace')}")
            if answer.status == 200 and (said := error_in(first)):
                raise FailedError(f"{url} began with an error: {said}")
            self.dispatcher.first_byte(ticket)
            self.measures.ttft.observe(monotonic() - ticket.request.arrival)
            return await self._stream(request, answer, first, ticket, text)
        finally:
            answer.close()

    async def _stream(
        self, request: web.Request, answer: aiohttp.ClientResponse, first: bytes, ticket: Ticket, text: int
    ) -> web.StreamResponse:
        """Relay from the first byte on. What breaks now cuts the client's stream short: nothing is sent twice."""
        response = web.StreamResponse(status=answer.status, reason=answer.reason)
        for name, value in answer.headers.items():
            if name.lower() not in HOP_BY_HOP:
                response.headers.add(name, value)
        assert ticket.decision is not None
        response.headers[WAIT_HEADER] = f"{ticket.held:.4f}"
        response.headers[PLACE_HEADER] = f"{ticket.decision.instance}:{ticket.decision.rank}"
        tail, chunk = b"", first
        try:
            await response.prepare(request)
            while chunk:
                await response.write(chunk)
                tail = (tail + chunk)[-TAIL:]
                try:
                    chunk = await answer.content.readany()
                except BROKEN:
                    return self._cut(request, response)
            await response.write_eof()
        except ConnectionResetError:
            self.measures.requests.labels("left").inc()
            return response
        self.measures.requests.labels("done").inc()
        if (tokens := reported_tokens(tail)) is not None:
            self.estimate.learn(text, tokens)
        return response

    def _cut(self, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
        """The engine broke off: so does this answer, without the end that would make it look whole."""
        self.measures.requests.labels("cut").inc()
        if request.transport is not None:
            request.transport.abort()
        return response


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "engine_error"}}, status=status)
