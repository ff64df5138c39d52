"""What a scheduler is told, and what it answers. Times are seconds on the caller's clock, sizes are tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter
from typing import NamedTuple

Place = tuple[int, int]
"""Instance and rank."""
Hits = Mapping[Place, int]
"""Tokens of a prompt that lie cached, by place where there are any."""


class Reason(StrEnum):
    """Why a request was placed when it was."""

    IMMEDIATE = "immediate"
    """The policy never holds."""
    ALL_IDLE = "all_idle"
    """Every instance was idle, so there was nothing to wait for."""
    STAGGERED = "staggered"
    """Its turn came: the interval since the last batch had passed."""
    REFILL = "refill"
    """The instance goes on with long prompts at once, and had room on other ranks."""
    AGED = "aged"
    """It had waited for its limit."""
    FALLBACK = "fallback"
    """Holding did not pay, so the safety valve placed it at once."""


@dataclass(slots=True, eq=False)
class Request:
    """prompt: tokens to prefill, as far as is known. output: tokens to generate, where that is known. blocks: hashes of
    the prompt's prefixes, block by block. priority: the higher the sooner.
    """

    id: int
    arrival: float
    prompt: int
    output: int = 1
    blocks: tuple[int, ...] = ()
    priority: int = 0


PRIORITY = attrgetter("priority")
"""What requests are sorted by, the highest first."""
Placed = tuple[Request, int, int]
"""A request, its rank and the uncached tokens it costs there."""


class Decision(NamedTuple):
    """Send `request` to `rank` of `instance`. cost: the uncached tokens that it was counted as."""

    request: Request
    instance: int
    rank: int
    cost: int
    reason: Reason


class Report(NamedTuple):
    """What an instance says when a forward pass ends, or when asked.

    seen: how many decisions it had received, ever. backlog: (ranks,) tokens that no pass has taken yet. waiting,
    running: (ranks,) requests not yet begun, and begun. busy: whether a pass is under way or begins at once. duration:
    seconds of the pass that ended, None where none did. largest: most tokens of a rank in that pass. begun: most
    tokens of a rank in the next pass if that has begun already, so that what is sent now runs in the one after it.
    """

    seen: int
    backlog: Sequence[int]
    waiting: Sequence[int]
    running: Sequence[int]
    busy: bool
    duration: float | None = None
    largest: int = 0
    begun: int = 0
