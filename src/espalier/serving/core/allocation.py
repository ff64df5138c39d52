"""Prioritised batch allocation: which held requests go to which ranks of one instance."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import heapify, heapreplace
from typing import NamedTuple

from espalier.serving.core.types import Request


class Placed(NamedTuple):
    """A request, its rank and the uncached tokens it costs there."""

    request: Request
    rank: int
    cost: int


def water_fill(
    requests: Iterable[Request],
    backlog: Sequence[int],
    chunk: int,
    hits: Mapping[int, Mapping[int, int]] | None = None,
    forced: frozenset[int] | set[int] = frozenset(),
    *,
    split: bool = True,
) -> tuple[list[Placed], list[Request]]:
    """Place requests in the order given, each on the rank with the most room left; returns the placed and the others.

    backlog: (ranks,) tokens queued; a rank's room is `chunk` less these. A rank takes a request while it has any room:
    what is too much runs in its next pass. hits: by request id, tokens cached by rank; they count as room there, so a
    cached prefix draws a request, and never to a rank without room. forced: ids to be placed whatever the room. split:
    whether a prompt that would fit a chunk may be cut where it does not fit what is left of one.

    Source: Staggered Batch Scheduling, water filling over ranks' capacity; the exact form is ours.
    """
    heap = [(tokens, rank) for rank, tokens in enumerate(backlog)]
    heapify(heap)
    load = list(backlog)
    placed, left = [], []
    for request in requests:
        while heap[0][0] != load[heap[0][1]]:
            heapreplace(heap, (load[heap[0][1]], heap[0][1]))
        rank = heap[0][1]
        cached = (hits or {}).get(request.id, {})
        if cached:
            open_ = (other for other in cached if load[other] < chunk)
            best = min(open_, key=lambda other: load[other] - cached[other], default=rank)
            rank = best if load[best] - cached.get(best, 0) < load[rank] - cached.get(rank, 0) else rank
        cost = request.prompt - cached.get(rank, 0)
        room = chunk - load[rank]
        if (room <= 0 or (not split and room < cost <= chunk)) and request.id not in forced:
            left.append(request)
            continue
        load[rank] += cost
        placed.append(Placed(request, rank, cost))
    return placed, left
