"""Assigns rows to optimizer steps and micro-batches. Pure arithmetic on row lengths."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

Blocks = Sequence[Sequence[int]]
"""Indices of rows; the rows of one block stay together."""
COPIED = 8
"""A token whose computation is shared takes about this part of the memory of one that is computed; ours."""
Stem = tuple[Hashable, int]
"""What a row begins with, and its tokens: rows that begin with the same share its computation in a micro-batch."""


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


def microbatches(
    blocks: Blocks, lengths: Sequence[int], budget: int, stems: Sequence[Stem] | None = None, *, ranks: int = 1
) -> list[list[int]]:
    """The rows of `blocks` in pieces of at most `budget` tokens (a longer block is its own piece), about equal in
    tokens.

    A stem, the beginning that several rows share, counts once in each piece, and an eighth for each further block, as
    padded attention copies its keys and values. Blocks whose first rows have the same stem are neighbours. Besides
    that, blocks are sorted by length and cut in order, so attention that pads inside a micro-batch computes little
    padding, and the peak of memory occurs at the start. Their number is a multiple of `ranks`, if there are as many
    blocks.
    """
    stems = stems or [(i, 0) for i in range(len(lengths))]
    loads = [
        _Load(sum(lengths[i] - stems[i][1] for i in block), dict(stems[i] for i in block), stems[block[0]][0])
        for block in blocks
    ]
    return [[i for block in piece for i in blocks[block]] for piece in _equal_pieces(loads, budget, ranks)]


@dataclass(frozen=True, slots=True)
class _Load:
    """The tokens of a block beyond its stems, and its stems with their lengths. first: the stem of its first row."""

    own: int
    stems: dict[Hashable, int]
    first: Hashable

    @property
    def whole(self) -> int:
        return self.beside({})

    def beside(self, others: Mapping[Hashable, int]) -> int:
        """Tokens that it adds to a piece that holds the stems `others`."""
        stems = self.stems.items()
        return self.own + sum(length // COPIED if stem in others else length for stem, length in stems)


def _equal_pieces(loads: Sequence[_Load], budget: int, ranks: int) -> list[list[int]]:
    longest: dict[Hashable, int] = {}
    for load in loads:
        longest[load.first] = max(longest.get(load.first, 0), load.whole)
    place = {stem: k for k, stem in enumerate(longest)}
    order = sorted(
        range(len(loads)), key=lambda i: (-longest[loads[i].first], place[loads[i].first], -loads[i].whole, i)
    )
    result = _cut(order, loads, budget)
    low, high = 1, budget
    while low < high:  # the smallest budget that takes no more pieces makes them about equal
        middle = (low + high) // 2
        pieces = _cut(order, loads, middle)
        if len(pieces) > ranks * -(-len(result) // ranks):
            low = middle + 1
        else:
            high, result = middle, pieces
    for _ in range(-len(result) % ranks):
        result = _one_more(result, loads)
    return result


def _one_more(pieces: list[list[int]], loads: Sequence[_Load]) -> list[list[int]]:
    """The pieces, the largest that has several blocks cut in two. Without such a piece nothing changes."""
    sizes = [sum(loads[i].whole for i in piece) if len(piece) > 1 else 0 for piece in pieces]
    if not any(sizes):
        return pieces
    place = max(range(len(sizes)), key=sizes.__getitem__)
    piece = pieces[place]
    middle = len(piece) // 2
    return [*pieces[:place], piece[:middle], piece[middle:], *pieces[place + 1 :]]


def _cut(order: Sequence[int], loads: Sequence[_Load], budget: int) -> list[list[int]]:
    """Cut `order` wherever the next block would overflow."""
    result: list[list[int]] = []
    used = 0
    stems: dict[Hashable, int] = {}
    for i in order:
        added = loads[i].beside(stems)
        if not result or used + added > budget:
            result.append([])
            used, stems = 0, {}
            added = loads[i].whole
        result[-1].append(i)
        used += added
        stems |= loads[i].stems
    return result
