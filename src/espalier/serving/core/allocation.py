"""Prioritised batch allocation: which held requests go to which ranks of one instance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from heapq import heapify, heapreplace

from espalier.serving.core.types import Placed, Request


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
    n, full = len(backlog), chunk * len(backlog)
    keys = [tokens * n + rank for rank, tokens in enumerate(backlog)]  # one number compares faster than a pair
    heap = keys.copy()
    heapify(heap)
    placed: list[Placed] = []
    left: list[Request] = []
    for number, request in enumerate(requests):
        key = heap[0]
        while key != keys[rank := key % n]:
            heapreplace(heap, keys[rank])
            key = heap[0]
        if key >= full and not forced:
            return placed, left + list(requests[number:])
        cost = request.prompt
        if hits and (cached := hits.get(request.id)):
            rank = _cheapest(cached, keys, rank, full)
            cost -= cached.get(rank, 0)
            key = keys[rank]
        if (key >= full or (not split and cost <= chunk < key // n + cost)) and request.id not in forced:
            left.append(request)
            continue
        keys[rank] = key + cost * n
        placed.append((request, rank, cost))
    return placed, left


def _cheapest(cached: Mapping[int, int], keys: Sequence[int], rank: int, full: int) -> int:
    """The rank of the least load once its cached tokens are taken off: one of those with room, or `rank`."""
    n = len(keys)

    def load(other: int) -> int:
        return keys[other] // n - cached.get(other, 0)

    best = min((other for other in cached if keys[other] < full), key=load, default=rank)
    return best if load(best) < load(rank) else rank
