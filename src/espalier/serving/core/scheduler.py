"""The contract of a scheduler, and what all of them keep.

Synchronous and without a clock: the caller says what time it is. The simulator and the gateway call these methods and
no others.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import repeat
from typing import Protocol

from espalier.serving.core.prefix import PrefixIndex
from espalier.serving.core.state import Pool
from espalier.serving.core.types import Decision, Hits, Place, Placed, Reason, Report, Request


class Policy(Protocol):
    """Where a request goes at once."""

    def choose(self, pool: Pool, request: Request, hits: Hits) -> Place:
        """A rank of an instance that is alive; there is at least one."""


class Scheduler:
    """Shared bookkeeping: the virtual state and the prefix index."""

    def __init__(self, pool: Pool, prefix: PrefixIndex | None = None) -> None:
        self.pool, self.prefix = pool, prefix

    def on_arrival(self, request: Request, now: float) -> None:
        """A request came in."""
        raise NotImplementedError

    def on_report(self, instance: int, report: Report, now: float) -> None:
        """An instance said how it is. Of one that is lost it is too late to say anything."""
        if self.pool.instances[instance].alive:
            self.pool.instances[instance].hear(report, now)

    def on_cancel(self, request: Request, now: float) -> None:
        """The client left before the request was placed. One that was placed is the engine's to report."""
        raise NotImplementedError

    def on_lost(self, instance: int, now: float) -> None:
        """The instance is gone, and its work with it: it gets none until `on_back`."""
        self.pool.lose(instance)
        if self.prefix is not None:
            self.prefix.forget(instance)

    def on_back(self, instance: int, now: float) -> None:
        """The instance is back, empty."""
        self.pool.revive(instance, now)

    def on_pause(self, instance: int, now: float, paused: bool = True) -> None:
        """The instance gets nothing more and goes on with what it has, until it is told otherwise."""
        self.pool.pause(instance, paused)

    def on_missed(self, instance: int, number: int, now: float) -> None:
        """The instance's decision `number` (from 1) never reached it, or none of its reports will tell."""
        self.pool.instances[instance].miss(number, now)

    def on_over(self, instance: int, rank: int, now: float) -> None:
        """A request that was placed there is answered to the end, or will not be."""
        self.pool.close(instance, rank)

    def poll(self, now: float) -> tuple[list[Decision], float | None]:
        """What to send now, and when to ask again if nothing happens before. Asking twice changes nothing."""
        raise NotImplementedError

    @property
    def held(self) -> int:
        """Requests not placed yet."""
        raise NotImplementedError

    def hits(self, request: Request) -> Hits:
        """Prompt tokens that lie cached, by instance and rank."""
        return self.prefix.hits(request) if self.prefix is not None and request.blocks else {}

    def place_all(self, instance: int, placed: Sequence[Placed], reasons: Iterable[Reason]) -> list[Decision]:
        """Decisions for a batch, counted like single ones."""
        requests, ranks, costs = zip(*placed, strict=True)
        self.pool.instances[instance].send_all(ranks, costs)
        self.pool.open(instance, ranks)
        if self.prefix is not None:
            for request, rank in zip(requests, ranks, strict=True):
                if request.blocks:
                    self.prefix.add(request, instance, rank)
        return list(map(Decision._make, zip(requests, repeat(instance), ranks, costs, reasons, strict=False)))

    def place(self, decision: Decision) -> Decision:
        """Count a decision in the virtual state and the prefix index."""
        self.pool.instances[decision.instance].send(decision.rank, decision.cost)
        self.pool.open(decision.instance, (decision.rank,))
        if self.prefix is not None and decision.request.blocks:
            self.prefix.add(decision.request, decision.instance, decision.rank)
        return decision
