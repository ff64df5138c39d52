"""Chooses the request that runs next: a state machine without a clock.

First come, first served, with one exception: a request that continues a session (its KV is in a pinned row) counts as
if it had arrived `HEAD_START` rounds earlier. Conversations therefore finish soon, but no request that waited longer
than that is overtaken. Admission needs only a free row: a row has room for a sequence of `max_len`, so nothing is ever
preempted.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from collections.abc import Sequence as Ordered

import numpy as np
import numpy.typing as npt

from espalier.engine.batching.sequence import Sequence

HEAD_START = 64


class Scheduler:
    """The queue of requests without a row. A round is one call of `admit`."""

    def __init__(self) -> None:
        self.waiting: list[Sequence] = []
        self._round = 0
        self._arrivals = 0

    def add(self, sequence: Sequence, *, continues: bool = False) -> None:
        """Queue a request; `continues` means that a pinned row contains its conversation."""
        self._arrivals += 1
        sequence.priority = (self._round - HEAD_START * continues, self._arrivals)
        insort(self.waiting, sequence, key=_priority)

    def cancel(self, sequence: Sequence) -> None:
        """Remove a waiting request."""
        self.waiting.remove(sequence)

    def admit(self, free: int, start: Callable[[Sequence], bool]) -> None:
        """Start up to `free` requests, in order.

        `start` assigns a row to a request, or returns False if it has to wait because its prompt is being prefilled for
        another. It then keeps its place in the queue, and the row that it will need stays free.
        """
        self._round += 1
        self.waiting[:free] = [sequence for sequence in self.waiting[:free] if not start(sequence)]


def chunks(behind: npt.NDArray[np.int64], order: Ordered[int], budget: int) -> npt.NDArray[np.int64]:
    """The number of tokens that each row computes in this step.

    behind: number of tokens of each row that have no KV yet, at least 1. order: rows, oldest first. Every row computes
    one token; the prefill `budget` goes to the rows that are behind, oldest first.
    """
    counts = np.ones_like(behind)
    for row in order:
        extra = min(int(behind[row]) - 1, budget)
        counts[row] += extra
        budget -= extra
    return counts


def _priority(sequence: Sequence) -> tuple[int, int]:
    return sequence.priority
