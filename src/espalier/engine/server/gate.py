"""Admission: a bounded queue in front of the engine, and shutdown."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque

from espalier.engine.server.choice import Delta
from espalier.engine.server.errors import ApiError

MOST_READY = 64
"""Largest number of unread deltas of a slow client. Beyond it, its choices are not read from the engine."""

_LONGEST_WAIT = 60
_WEIGHT = 0.1
_TICK = 0.05


class Outbox:
    """The deltas of one request that are ready for its client."""

    def __init__(self) -> None:
        self._ready: deque[Delta] = deque()
        self._news, self._room = asyncio.Event(), asyncio.Event()
        self._error: Exception | None = None

    async def put(self, delta: Delta) -> None:
        """Add a delta, once there is room."""
        while len(self._ready) >= MOST_READY:
            self._room.clear()
            await self._room.wait()
        self._ready.append(delta)
        self._news.set()

    def fail(self, error: Exception) -> None:
        """End the request with `error`."""
        self._error = self._error or error
        self._news.set()

    async def get(self) -> Delta:
        """The next delta. Raises the error that ended the request."""
        while True:
            if self._error is not None:
                raise self._error
            if self._ready:
                self._room.set()
                return self._ready.popleft()
            self._news.clear()
            await self._news.wait()


class Ticket:
    """An admitted request, with `choices` open choices."""

    def __init__(self, gate: Gate, choices: int) -> None:
        self.gate, self.choices, self.outbox = gate, choices, Outbox()

    def done(self, seconds: float) -> None:
        """One choice has ended, `seconds` after it began."""
        self.choices -= 1
        self.gate.seconds += _WEIGHT * (seconds - self.gate.seconds)

    def leave(self) -> None:
        """The request has ended in some way. May be called again."""
        self.gate.tickets.discard(self)


class Gate:
    """Counts the open choices: `rows` of them run, `queue` may wait, and beyond that requests get 429."""

    def __init__(self, rows: int, queue: int) -> None:
        self.rows, self.queue = rows, queue
        self.seconds = 1.0
        self.tickets: set[Ticket] = set()
        self._closed = False

    def check(self) -> None:
        """Raise ApiError if no request can be admitted now."""
        if self._closed:
            raise ApiError("the server is shutting down", status=503, headers={"Retry-After": "5"})
        waiting = sum(ticket.choices for ticket in self.tickets) - self.rows
        if waiting >= self.queue:
            wait = math.ceil(self.seconds * (1 + waiting / self.rows))
            raise ApiError(
                f"{waiting} choices wait for a free row, the queue takes {self.queue}: try again later",
                status=429,
                code="rate_limit_exceeded",
                headers={"Retry-After": str(min(wait, _LONGEST_WAIT))},
            )

    def enter(self, choices: int) -> Ticket:
        """Admit a request. Raises like `check`."""
        self.check()
        ticket = Ticket(self, choices)
        self.tickets.add(ticket)
        return ticket

    async def close(self, grace: float) -> None:
        """Admit no more requests, and end the open ones after `grace` seconds with an error."""
        self._closed = True
        deadline = time.monotonic() + grace
        while self.tickets and time.monotonic() < deadline:
            await asyncio.sleep(_TICK)
        for ticket in self.tickets:
            ticket.outbox.fail(ApiError("the server is shutting down", status=503))
