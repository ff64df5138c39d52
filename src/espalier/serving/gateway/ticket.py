"""The state of one request in the gateway."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from time import monotonic

from espalier.core.errors import EngineError
from espalier.serving.core.types import Decision, Request
from espalier.serving.gateway.patience import Patience

CLOSING = "the gateway is shutting down"
TICK = 0.05
"""Seconds between two checks of the open requests at shutdown."""


class OverloadedError(EngineError):
    """The buffer is full, or a request was held too long. retry_after: seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message, retryable=True)
        self.retry_after = retry_after


@dataclass(slots=True, eq=False)
class Ticket:
    """One request.

    streamed: its first byte is its first token (an answer without streaming does not show the end of prefill). text:
    bytes of its prompt, from which the token estimate learns. decision: set when it is placed. batch: name and size of
    its batch. number: its number among the requests of its instance, from 1. held: seconds until it was placed.
    patience: the timeout for the engine's next bytes, while the gateway waits for them. answered: the engine began to
    answer. outcome: the result for the metrics. ended: the gateway shuts down and no longer waits for it.
    """

    request: Request
    placed: asyncio.Future[Decision]
    streamed: bool = True
    text: int = 0
    decision: Decision | None = None
    batch: str = "0/1"
    number: int = 0
    held: float = 0.0
    patience: Patience | None = None
    answered: bool = False
    outcome: str | None = None
    ended: bool = False
    tried: set[int] = field(default_factory=set)

    @property
    def instance(self) -> int:
        """The instance it was sent to."""
        assert self.decision is not None
        return self.decision.instance

    @property
    def rank(self) -> int:
        """The rank it was sent to."""
        assert self.decision is not None
        return self.decision.rank

    def hurry(self, seconds: float) -> None:
        """Reduce the timeout for the engine's next bytes to `seconds`."""
        if self.patience is not None:
            self.patience.hurry(seconds)

    def end(self) -> None:
        """Stop waiting, in whatever phase the request is."""
        self.ended = True
        self.placed.cancel()
        if self.patience is not None:
            self.patience.end()


async def close(tickets: Mapping[int, Ticket], grace: float) -> None:
    """After `grace` seconds, end the requests that are still open."""
    end = monotonic() + grace
    while tickets and monotonic() < end:
        await asyncio.sleep(TICK)
    for ticket in list(tickets.values()):
        ticket.end()
