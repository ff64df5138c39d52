"""Decoding attention as two embedding bags over the slab (see `slab.py` for why).

Scores of row r, head h, chunk c: sum over d of q[r, h, d] * keys[r, h // group, c, d, :].
Output of row r, head h: sum over positions p of probability[r, h, p] * values[r, h // group, p, :].
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from espalier.engine.slab import CHUNK, Slab

BUCKET = 16


class Lay(NamedTuple):
    """What all layers of a step share. mask [b, 1, length] is added to the scores; `length` is rounded up."""

    mask: Tensor
    length: int
    key_index: Tensor
    key_bags: Tensor
    value_index: Tensor
    value_bags: Tensor


class Bags:
    """Attention of one query a row, for rows 0..b-1. Keeps the table indices of the last length it was asked for."""

    def __init__(self, slab: Slab, heads: int) -> None:
        self.slab, self.heads = slab, heads
        rows = torch.arange(slab.rows, device=slab.device) * slab.kv_heads
        group = heads // slab.kv_heads
        self._blocks = (rows[:, None] + torch.arange(heads, device=slab.device) // group)[..., None]
        self._at = torch.arange(slab.max_len, device=slab.device)
        self._chunks = self._length = 0
        self._key_index = self._value_index = self._at

    def lay(self, positions: Tensor) -> Lay:
        """Prepare a step in which row r attends to its positions 0..positions[r]; positions [b]."""
        b, slab = len(positions), self.slab
        length = -(-(int(positions.max()) + 1) // BUCKET) * BUCKET
        chunks = -(-length // CHUNK)
        if chunks != self._chunks:
            self._chunks, depth = chunks, chunks * slab.head_dim
            self._key_index = self._blocks * (slab.chunks * slab.head_dim) + self._at.new_tensor(range(depth))
        if length != self._length:
            self._length = length
            self._value_index = self._blocks * slab.max_len + self._at[:length]
        unseen = self._at[:length] > positions[:, None]
        mask = torch.zeros(unseen.shape, dtype=slab.dtype, device=slab.device).masked_fill_(unseen, -torch.inf)
        count = b * self.heads
        return Lay(
            mask=mask[:, None],
            length=length,
            key_index=self._key_index[:b].reshape(-1),
            key_bags=torch.arange(0, count * chunks * slab.head_dim, slab.head_dim, device=slab.device),
            value_index=self._value_index[:b].reshape(-1),
            value_bags=torch.arange(0, count * length, length, device=slab.device),
        )

    def attend(self, layer: int, q: Tensor, lay: Lay) -> Tensor:
        """Scaled queries [b, heads, head_dim] -> [b, heads, head_dim]."""
        b, heads, dim = q.shape
        chunks = -(-lay.length // CHUNK)
        weights = q.reshape(-1) if chunks == 1 else q[:, :, None].expand(b, heads, chunks, dim).reshape(-1)
        scores = _bag(self.slab.key_tables[layer], lay.key_index, lay.key_bags, weights)
        scores = scores.view(b, heads, chunks * CHUNK)[..., : lay.length] + lay.mask
        probabilities = scores.softmax(-1).view(-1)
        return _bag(self.slab.value_tables[layer], lay.value_index, lay.value_bags, probabilities).view(b, heads, dim)


def _bag(table: Tensor, index: Tensor, bags: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of table rows: bag i sums rows index[bags[i] : bags[i + 1]]."""
    return torch.embedding_bag(table, index, bags, mode=0, per_sample_weights=weights)[0]
