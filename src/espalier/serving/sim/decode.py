"""Decoding on one instance of lock-step ranks: open, fed by prefill, or closed, with so many requests at all times."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import add

from espalier.serving.core.decode import DecodePlacement, Ranks
from espalier.serving.core.types import Request
from espalier.serving.model.steptime import DecodeTime

LINE = 8
"""Requests a rank that are considered in a step, in the order they came: a long line costs no time."""


@dataclass(frozen=True)
class Decoded:
    """seconds: of the whole run. tokens: generated in it. steps: their count. tpot: seconds per output token of each
    finished request, from the moment it came. finished: when each ended, by request number.
    """

    seconds: float
    tokens: int
    steps: int
    tpot: list[float]
    finished: dict[int, float]

    @property
    def throughput(self) -> float:
        """Tokens a second."""
        return self.tokens / self.seconds


class DecodeSimulation:
    """Every rank generates one token of each of its requests in each step.

    capacity: cached tokens that a rank holds. A request waits while no rank has room for all of it, or while the rank
    that it would go to has promised that room to others, who have yet to grow into it.
    """

    def __init__(self, ranks: int, time: DecodeTime, placement: DecodePlacement, capacity: int = 1 << 60) -> None:
        self.time, self.placement = time, placement
        self.ranks = Ranks([0] * ranks, [0] * ranks, capacity)
        self._ends: defaultdict[int, list[tuple[Request, int]]] = defaultdict(list)
        self._waiting: list[Request] = []
        self._promised = [0] * ranks

    def closed(self, requests: Iterable[Request], at_once: int, steps: int, warm: int = 0) -> Decoded:
        """`at_once` requests always present, each that ends replaced by the next, for `steps` steps after `warm`."""
        rest = iter(requests)
        self._waiting = [request for request, _ in zip(rest, range(at_once), strict=False)]
        tpot: list[float] = []
        finished: dict[int, float] = {}
        came = {request.id: 0.0 for request in self._waiting}
        now = start = 0.0
        tokens = 0
        for step in range(warm + steps):
            if step == warm:
                start, tokens = now, 0
            self._admit(step)
            done, seconds, made = self._step(step)
            now, tokens = now + seconds, tokens + made
            for request, fresh in zip(done, rest, strict=False):
                self._waiting.append(fresh)
                came[fresh.id] = now
                finished[request.id] = now
                tpot.append((now - came.pop(request.id)) / request.output)
        return Decoded(now - start, tokens, steps, tpot, finished)

    def open(self, requests: Sequence[Request], ready: Sequence[float]) -> Decoded:
        """Request k comes at ready[k] seconds, its prompt cached, for its `output` tokens; to the end of the last."""
        order = deque(sorted((time, request.id, request) for time, request in zip(ready, requests, strict=True)))
        came = {request.id: time for time, _, request in order}
        tpot: list[float] = []
        finished: dict[int, float] = {}
        now, step, tokens = order[0][0] if order else 0.0, 0, 0
        first = now
        while order or self._waiting or self._ends:
            if not self._ends and not self._waiting and order[0][0] > now:
                now = order[0][0]
            while order and order[0][0] <= now:
                self._waiting.append(order.popleft()[2])
            self._admit(step, LINE * len(self.ranks.kv))
            if not self._ends:
                raise ValueError("a request is longer than the cache of a rank: raise `capacity`")
            done, seconds, made = self._step(step)
            now, tokens, step = now + seconds, tokens + made, step + 1
            for request in done:
                finished[request.id] = now
                tpot.append((now - came[request.id]) / request.output)
        return Decoded(now - first, tokens, step, tpot, finished)

    def _admit(self, step: int, most: int | None = None) -> None:
        """Place those that wait, the first `most` of them."""
        if not self._waiting:
            return
        placed, left = self.placement.place(self._waiting[:most], self.ranks)
        self._waiting[:most] = left
        for request, rank in placed:
            whole = request.prompt + max(request.output, 1)
            if self._promised[rank] + whole > self.ranks.capacity:
                self.ranks.requests[rank] -= 1
                self.ranks.kv[rank] -= request.prompt
                self._waiting.insert(0, request)
            else:
                self._promised[rank] += whole
                self._ends[step + max(request.output, 1) - 1].append((request, rank))

    def _step(self, step: int) -> tuple[list[Request], float, int]:
        requests, kv = self.ranks.requests, self.ranks.kv
        seconds, made = self.time.seconds(max(requests), max(kv)), sum(requests)
        self.ranks.kv = list(map(add, kv, requests))
        ended = self._ends.pop(step, [])
        for request, rank in ended:
            whole = request.prompt + max(request.output, 1)
            self.ranks.requests[rank] -= 1
            self.ranks.kv[rank] -= whole
            self._promised[rank] -= whole
        return [request for request, _ in ended], seconds, made
