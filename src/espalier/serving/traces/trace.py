"""A trace: prompt and output tokens of requests, when they came, and what prefixes they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError
from espalier.serving.core.types import Request

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Trace:
    """n requests in order of arrival.

    prompt, output: (n,) tokens. arrival: (n,) seconds from the first, None where the format has no times. blocks:
    prefix hashes of each prompt, `block` tokens a hash, or None. priority: (n,) the higher the sooner, or None.
    """

    name: str
    prompt: Ints
    output: Ints
    arrival: Floats | None = None
    blocks: Sequence[tuple[int, ...]] | None = None
    block: int = 512
    priority: Ints | None = None

    def __len__(self) -> int:
        return int(self.prompt.size)

    @classmethod
    def of_rows(cls, name: str, rows: Sequence[Row], block: int = 512) -> Trace:
        """Sorted by time and counted from the first. Raises DataError for none, or where only some have a time."""
        if not rows:
            raise DataError(f"{name} holds no requests")
        timed = [row for row in rows if row.arrival is not None]
        if 0 < len(timed) < len(rows):
            raise DataError(
                f"{name}: {len(rows) - len(timed)} of {len(rows)} requests have no time; give all one, or none"
            )
        if timed:
            rows = sorted(timed, key=lambda row: row.arrival or 0.0)
        prompt, output = (np.array([getattr(row, key) for row in rows], np.int64) for key in ("prompt", "output"))
        arrival = np.array([row.arrival for row in rows], np.float64) if timed else None
        blocks = [row.blocks for row in rows] if any(row.blocks for row in rows) else None
        priority = np.array([row.priority for row in rows]) if any(row.priority for row in rows) else None
        return cls(name, prompt, output, None if arrival is None else arrival - arrival[0], blocks, block, priority)

    def capped(self, tokens: int) -> Trace:
        """Prompts longer than `tokens` are cut to them, as an engine with that context would."""
        prompt = np.minimum(self.prompt, tokens)
        keep = -(-tokens // self.block)
        blocks = None if self.blocks is None else [one[:keep] for one in self.blocks]
        return replace(self, prompt=prompt, blocks=blocks)

    def requests(self, arrival: Floats, order: Ints | None = None) -> list[Request]:
        """Requests that come at `arrival` (k,) seconds. order: (k,) which row each is like; by default the k-th."""
        rows = np.arange(arrival.size) if order is None else order
        prompt, output, when = self.prompt[rows].tolist(), self.output[rows].tolist(), arrival.tolist()
        blocks: Sequence[Any] = [()] * len(when) if self.blocks is None else [self.blocks[k] for k in rows.tolist()]
        priority = [0] * len(when) if self.priority is None else self.priority[rows].tolist()
        return [Request(k, when[k], prompt[k], output[k], blocks[k], priority[k]) for k in range(len(when))]


@dataclass(frozen=True, slots=True)
class Row:
    """One request as a file tells of it."""

    prompt: int
    output: int
    arrival: float | None = None
    blocks: tuple[int, ...] = ()
    priority: int = 0

    def __post_init__(self) -> None:
        if self.prompt < 1 or self.output < 0:
            raise ValueError(f"{self.prompt} prompt and {self.output} output tokens")
        if self.arrival is not None and not np.isfinite(self.arrival):
            raise ValueError(f"arrival {self.arrival}")
