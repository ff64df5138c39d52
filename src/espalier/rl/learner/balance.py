"""Which rows share an optimizer step, and which a micro-batch. Pure arithmetic on row lengths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def slices(rows: int, parts: int, order: np.random.Generator) -> list[list[int]]:
    """Rows 0..rows-1 dealt at random into at most `parts` disjoint pieces, sizes differing by at most one."""
    if parts == 1:
        return [list(range(rows))] if rows else []
    pieces = np.array_split(order.permutation(rows), parts)
    return [sorted(piece.tolist()) for piece in pieces if len(piece)]


def microbatches(lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Indices of `lengths` in pieces of at most `budget` tokens (a longer row goes alone), about equal in tokens.

    Rows are sorted by length and cut in order: neighbours are alike, so attention that pads inside a micro-batch
    computes little padding. Longest first, so that the peak of memory comes at once.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    parts = -(-sum(lengths) // budget)
    while True:
        result = _cut(order, lengths, budget, sum(lengths) / max(parts, 1))
        if len(result) <= max(parts, 1):
            return result
        parts = len(result)


def _cut(order: Sequence[int], lengths: Sequence[int], budget: int, share: float) -> list[list[int]]:
    """Cut `order` where the running total passes a multiple of `share`, and wherever the next row would overflow."""
    result: list[list[int]] = []
    used, total = 0, 0
    for i in order:
        if not result or used + lengths[i] > budget or total + lengths[i] / 2 > share * len(result):
            result.append([])
            used = 0
        result[-1].append(i)
        used += lengths[i]
        total += lengths[i]
    return result
