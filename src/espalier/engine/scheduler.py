"""Who runs next: a state machine without a clock.

First come, first served, with aging: a request that continues a session (its KV waits in a pinned row) counts as if it
had come `HEAD_START` rounds earlier, so conversations finish soon, yet nobody who waited longer than that is overtaken.
Admission needs only a free row: a row holds a sequence up to `max_len`, so nothing is ever preempted.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Callable
from collections.abc import Sequence as Ordered

import numpy as np
import numpy.typing as npt

from espalier.engine.sequence import Sequence

HEAD_START = 64


class Scheduler:
    """The queue of requests without a row. A round is one call of `admit`."""

    def __init__(self) -> None:
        self.waiting: list[Sequence] = []
        self._round = 0
        self._arrivals = 0

    def add(self, sequence: Sequence, *, continues: bool = False) -> None:
        """Queue a request; `continues` says that a pinned row holds its conversation."""
        self._arrivals += 1
        sequence.priority = (self._round - HEAD_START * continues, self._arrivals)
        insort(self.waiting, sequence, key=_priority)

    def cancel(self, sequence: Sequence) -> None:
        """Forget a waiting request."""
        self.waiting.remove(sequence)

    def admit(self, free: int, start: Callable[[Sequence], bool]) -> None:
        """Start up to `free` requests, in order.

        `start` puts a request into a row, or returns False when it has to wait (its prompt is being prefilled for
        another); then it stays at its place, and the row it will need stays free.
        """
        self._round += 1
        self.waiting[:free] = [sequence for sequence in self.waiting[:free] if not start(sequence)]


def chunks(behind: npt.NDArray[np.int64], order: Ordered[int], budget: int) -> npt.NDArray[np.int64]:
    """How many tokens each row computes this step.

    behind: tokens of each row that have no KV yet, at least 1. order: rows, oldest first. Every row computes one; the
    prefill `budget` goes to the rows that are behind, oldest first.
    """
    counts = np.ones_like(behind)
    for row in order:
        extra = min(int(behind[row]) - 1, budget)
        counts[row] += extra
        budget -= extra
    return counts


def _priority(sequence: Sequence) -> tuple[int, int]:
    return sequence.priority
