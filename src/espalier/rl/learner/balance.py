"""Assigns rows to optimizer steps and micro-batches. Pure arithmetic on row lengths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Blocks = Sequence[Sequence[int]]
"""Indices of rows; the rows of one block stay together."""


def blocks_of(labels: Sequence[int]) -> list[list[int]]:
    """The indices grouped by label, in the order in which the labels first appear."""
    found: dict[int, list[int]] = {}
    for index, label in enumerate(labels):
        found.setdefault(label, []).append(index)
    return list(found.values())


def slices(blocks: Blocks, parts: int, order: np.random.Generator) -> list[list[int]]:
    """Blocks of rows, assigned at random to at most `parts` disjoint pieces whose numbers of blocks differ by at most
    1.

    Each piece lists indices of rows in ascending order.
    """
    dealt = np.array_split(order.permutation(len(blocks)), parts) if parts > 1 else [np.arange(len(blocks))]
    return [sorted(i for block in piece for i in blocks[block]) for piece in dealt if len(piece)]


def microbatches(blocks: Blocks, lengths: Sequence[int], budget: int) -> list[list[int]]:
    """The rows of `blocks` in pieces of at most `budget` tokens (a longer block is its own piece), about equal in
    tokens.

    Blocks are sorted by length and cut in order. Neighbours are similar in length, so attention that pads inside a
    micro-batch computes little padding. The longest come first, so the peak of memory occurs at the start.
    """
    pieces = _equal_pieces([sum(lengths[i] for i in block) for block in blocks], budget)
    return [[i for block in piece for i in blocks[block]] for piece in pieces]


def _equal_pieces(lengths: Sequence[int], budget: int) -> list[list[int]]:
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
