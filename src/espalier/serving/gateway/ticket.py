"""A request on its way through the gateway."""

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
"""Seconds between two looks, at shutdown, at what is open."""


class OverloadedError(EngineError):
    """The buffer is full, or a request waited too long. retry_after: seconds."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message, retryable=True)
        self.retry_after = retry_after


@dataclass(slots=True, eq=False)
class Ticket:
    """streamed: whether its first byte is its first token; an answer that comes whole says nothing of prefill. text:
    bytes of its prompt, for the estimate to learn from. decision: set once it is placed. batch: the name and size of
    what it was sent with. number: which of its instance's requests it is, from 1. held: seconds until it was placed.
    patience: the limit on the engine's next bytes, while they are waited for. answered: whether the engine began to.
    outcome: what became of it, as it is counted. ended: whether the gateway shuts down and waits for it no longer.
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
        """Where it was placed."""
        assert self.decision is not None
        return self.decision.instance

    @property
    def rank(self) -> int:
        """The rank there."""
        assert self.decision is not None
        return self.decision.rank

    def hurry(self, seconds: float) -> None:
        """Wait no longer than this for what the engine owes just now."""
        if self.patience is not None:
            self.patience.hurry(seconds)

    def end(self) -> None:
        """Wait no longer, in whatever phase it is."""
        self.ended = True
        self.placed.cancel()
        if self.patience is not None:
            self.patience.end()


async def close(tickets: Mapping[int, Ticket], grace: float) -> None:
    """End those that are still open after `grace` seconds."""
    end = monotonic() + grace
    while tickets and monotonic() < end:
        await asyncio.sleep(TICK)
    for ticket in list(tickets.values()):
        ticket.end()
