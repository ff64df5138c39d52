"""A trace: prompt and output tokens of requests, when they came, and what prefixes they share."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from espalier.serving.core.types import Request

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
BLOCK = 512
"""Tokens that a prefix hash stands for."""
MOST = 10**9
"""Tokens of a request, and priorities, stay within this."""
LATEST = 1e12
"""Seconds that a time may be from zero: one in microseconds is none."""


@dataclass(frozen=True)
class Trace:
    """n requests in order of arrival.

    prompt, output: (n,) tokens. arrival: (n,) seconds from the first, None where the format has no times. blocks:
    prefix hashes of each prompt, `block` tokens a hash, or None. priority: (n,) the higher the sooner, or None. moved:
    how many stood behind a later one before they were sorted. cut, cut_tokens: prompts that `capped` made shorter, and
    the tokens that they lost.
    """

    name: str
    prompt: Ints
    output: Ints
    arrival: Floats | None = None
    blocks: Sequence[tuple[int, ...]] | None = None
    block: int = BLOCK
    priority: Ints | None = None
    moved: int = 0
    cut: int = 0
    cut_tokens: int = 0

    def __len__(self) -> int:
        return int(self.prompt.size)

    @classmethod
    def of_rows(cls, name: str, rows: Iterable[Row]) -> Trace:
        """Sorted by time, those of the same time as they come, and counted from the first. All have a time, or none."""
        prompts, outputs, priorities, times = array("q"), array("q"), array("q"), array("d")
        hashes: list[tuple[int, ...]] = []
        for row in rows:
            prompts.append(row.prompt)
            outputs.append(row.output)
            priorities.append(row.priority)
            hashes.append(row.blocks)
            if row.arrival is not None:
                times.append(row.arrival)
        arrival = np.array(times, np.float64)
        moved = int(np.count_nonzero(arrival < np.maximum.accumulate(arrival)))
        order = np.argsort(arrival, kind="stable") if times else np.arange(len(prompts))
        prompt, output, priority = (np.array(one, np.int64)[order] for one in (prompts, outputs, priorities))
        return cls(
            name,
            prompt,
            output,
            arrival[order] - arrival.min() if times else None,
            [hashes[k] for k in order.tolist()] if any(hashes) else None,
            priority=priority if priority.any() else None,
            moved=moved,
        )

    def capped(self, tokens: int) -> Trace:
        """Prompts longer than `tokens` are cut to them, as an engine with that context would."""
        prompt = np.minimum(self.prompt, tokens)
        keep = -(-tokens // self.block)
        blocks = None if self.blocks is None else [one[:keep] for one in self.blocks]
        lost = self.prompt - prompt
        cut, cut_tokens = int(np.count_nonzero(lost)), int(lost.sum())
        return replace(self, prompt=prompt, blocks=blocks, cut=cut, cut_tokens=cut_tokens)

    @property
    def cut_share(self) -> float:
        """The tokens lost by `capped`, as a share of all that there were."""
        return self.cut_tokens / (self.cut_tokens + int(self.prompt.sum()))

    @property
    def notes(self) -> list[str]:
        """What was made of the file that is not as it stands there."""
        moved = f"{self.moved:,} requests of the file stood behind later ones; all are sorted by time"
        cut = (
            f"{self.cut:,} of {len(self):,} prompts were longer than `cap` and cut: {self.cut_tokens:,} tokens, "
            f"{self.cut_share:.1%} of all, are left out"
        )
        return [moved] * (self.moved > 0) + [cut] * (self.cut > 0)

    def requests(self, arrival: Floats, order: Ints | None = None) -> list[Request]:
        """Requests that come at `arrival` (k,) seconds. order: (k,) which row each is like; by default the k-th."""
        rows = np.arange(arrival.size) if order is None else order
        prompt, output, when = self.prompt[rows].tolist(), self.output[rows].tolist(), arrival.tolist()
        blocks: Sequence[Any] = [()] * len(when) if self.blocks is None else [self.blocks[k] for k in rows.tolist()]
        priority = [0] * len(when) if self.priority is None else self.priority[rows].tolist()
        return [Request(k, when[k], prompt[k], output[k], blocks[k], priority[k]) for k in range(len(when))]


def cuts(traces: Mapping[str, Trace]) -> dict[str, float]:
    """Headline figures of a run: of each trace that was cut, the share of its tokens that is left out."""
    return {f"{name}: tokens left out (cap)": trace.cut_share for name, trace in traces.items() if trace.cut}


@dataclass(frozen=True, slots=True)
class Row:
    """One request as a file tells of it: at least one prompt token, and perhaps none of output."""

    prompt: int
    output: int
    arrival: float | None = None
    blocks: tuple[int, ...] = ()
    priority: int = 0

    def __post_init__(self) -> None:
        if not (1 <= self.prompt <= MOST and 0 <= self.output <= MOST):
            raise ValueError(
                f"{self.prompt} prompt and {self.output} output tokens; it is 1 and 0 at least, {MOST:,} at most"
            )
        if not -MOST <= self.priority <= MOST:
            raise ValueError(f"priority {self.priority} is beyond {MOST:,}")
        if self.arrival is not None and not abs(self.arrival) <= LATEST:
            raise ValueError(f"arrival {self.arrival:g} is no time in seconds")
