"""Which rows share an optimizer step, and which a micro-batch. Pure arithmetic on row lengths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

Blocks = Sequence[Sequence[int]]
"""Indices of rows; those of one block stay together."""


def blocks_of(labels: Sequence[int]) -> list[list[int]]:
    """The indices of equal labels together, in the order in which the labels first appear."""
    found: dict[int, list[int]] = {}
    for index, label in enumerate(labels):
        found.setdefault(label, []).append(index)
    return list(found.values())


def slices(blocks: Blocks, parts: int, order: np.random.Generator) -> list[list[int]]:
    """Blocks of rows dealt at random into at most `parts` disjoint pieces, whose numbers of blocks differ by at most 1.

    Each piece holds indices of rows in rising order.
    """
    dealt = np.array_split(order.permutation(len(blocks)), parts) if parts > 1 else [np.arange(len(blocks))]
    return [sorted(i for block in piece for i in blocks[block]) for piece in dealt if len(piece)]


def microbatches(blocks: Blocks, lengths: Sequence[int], budget: int) -> list[list[int]]:
    """The rows of `blocks` in pieces of at most `budget` tokens (a longer block goes alone), about equal in tokens.

    Blocks are sorted by length and cut in order: neighbours are alike, so attention that pads inside a micro-batch
    computes little padding. Longest first, so that the peak of memory comes at once.
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
