"""Decode placement: which rank a request that has its first token goes to.

A request stays on its rank to the end, and a step lasts as long as its slowest rank, so what counts is the worst rank.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from espalier.serving.core.types import Request
from espalier.serving.model.steptime import DecodeTime

DecodeName = Literal["round_robin", "lex", "iqr_lex", "iqr_lex_literal", "cost"]
FEW = 4
"""Fewer ranks than this have no outliers."""


@dataclass(slots=True)
class Ranks:
    """requests, kv: (ranks,) requests and cached tokens of each rank, and of those placed in this round. capacity:
    cached tokens that a rank holds.
    """

    requests: list[int]
    kv: list[int]
    capacity: int


Chooser = Callable[[Ranks, Sequence[int], int], int]
"""Of the ranks listed (those with room), one."""


class DecodePlacement:
    """Places a round of requests, the longest first, each against the loads that the ones before it leave.

    time is what `cost` predicts with. watermark: share of a rank's cache above which it gets nothing while others are
    below. Source: Staggered Batch Scheduling, decode placement; `iqr_lex_literal` is the published rule to the letter
    of its summaries, the others are ours.
    """

    def __init__(self, name: DecodeName = "lex", time: DecodeTime | None = None, watermark: float = 0.9) -> None:
        self.time, self.watermark, self._turn = time or DecodeTime(), watermark, 0
        self._choose: Chooser = {
            "round_robin": self._round_robin,
            "lex": lambda ranks, among, need: _lex(ranks, among),
            "iqr_lex": lambda ranks, among, need: _lex(ranks, _without_outliers(ranks, among, floor=0.5)),
            "iqr_lex_literal": lambda ranks, among, need: _lex(ranks, _without_outliers(ranks, among, floor=0.0)),
            "cost": self._cost,
        }[name]
        self.name = name

    def place(self, requests: Sequence[Request], ranks: Ranks) -> tuple[list[tuple[Request, int]], list[Request]]:
        """Those placed, with their ranks, and those for whom no rank has room. `ranks` is brought up to date."""
        placed, left = [], []
        everyone = range(len(ranks.kv))
        for request in sorted(requests, key=_length, reverse=True) if self.name != "round_robin" else requests:
            need = _length(request)
            room = [k for k in everyone if ranks.kv[k] + need <= ranks.capacity]
            if not room:
                left.append(request)
                continue
            low = [k for k in room if ranks.kv[k] + need <= self.watermark * ranks.capacity]
            rank = self._choose(ranks, low or room, request.prompt)
            ranks.requests[rank] += 1
            ranks.kv[rank] += request.prompt
            placed.append((request, rank))
        return placed, left

    def _round_robin(self, ranks: Ranks, among: Sequence[int], need: int) -> int:
        self._turn += 1
        return min(among, key=lambda k: (k - self._turn) % len(ranks.kv))

    def _cost(self, ranks: Ranks, among: Sequence[int], need: int) -> int:
        a, b = self.time.per_request, self.time.per_kv
        requests, kv = ranks.requests, ranks.kv
        most, fullest = max(requests), max(kv)

        def price(k: int) -> tuple[float, float, int]:
            step = a * max(most, requests[k] + 1) + b * max(fullest, kv[k] + need)
            return step, a * requests[k] + b * kv[k], k

        return min(among, key=price)


def _length(request: Request) -> int:
    return request.prompt + request.output


def _lex(ranks: Ranks, among: Sequence[int]) -> int:
    return min(among, key=lambda k: (ranks.requests[k], ranks.kv[k], k))


def _without_outliers(ranks: Ranks, among: Sequence[int], floor: float) -> Sequence[int]:
    """Without ranks whose cache lies above Q3 + 1.5 IQR, or above Q3 + floor * median where that is more.

    The literal rule (floor 0) takes healthy ranks out where loads are even, since then the IQR vanishes.
    """
    if len(among) < FEW:
        return among
    kv = [ranks.kv[k] for k in among]
    q1, median, q3 = np.quantile(kv, (0.25, 0.5, 0.75))
    limit = q3 + max(1.5 * (q3 - q1), floor * median)
    return [k for k, tokens in zip(among, kv, strict=True) if tokens <= limit] or among
