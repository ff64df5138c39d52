"""Prioritised batch allocation: which held requests go to which ranks of one instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heapreplace

from espalier.serving.core.types import Request

Placed = tuple[Request, int, int]
"""A request, its rank and the uncached tokens it costs there."""


def water_fill(
    requests: Sequence[Request],
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
    placed: list[Placed] = []
    left: list[Request] = []
    for number, request in enumerate(requests):
        least, rank = heap[0]
        while least != load[rank]:
            heapreplace(heap, (load[rank], rank))
            least, rank = heap[0]
        if least >= chunk and not forced:
            return placed, left + list(requests[number:])
        cost = request.prompt
        if hits and (cached := hits.get(request.id)):
            rank = _cheapest(cached, load, rank, chunk)
            cost -= cached.get(rank, 0)
        room = chunk - load[rank]
        if (room <= 0 or (not split and room < cost <= chunk)) and request.id not in forced:
            left.append(request)
            continue
        load[rank] += cost
        placed.append((request, rank, cost))
    return placed, left


def _cheapest(cached: Mapping[int, int], load: Sequence[int], rank: int, chunk: int) -> int:
    """The rank of the least load once its cached tokens are taken off: one of those with room, or `rank`."""
    best = min(
        (other for other in cached if load[other] < chunk), key=lambda other: load[other] - cached[other], default=rank
    )
    return best if load[best] - cached.get(best, 0) < load[rank] - cached.get(rank, 0) else rank
