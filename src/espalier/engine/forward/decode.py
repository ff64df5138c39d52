"""Decoding attention as two embedding bags over the slab (see `espalier.engine.kv.slab` for why).

Scores of row r, head h, chunk c: sum over d of q[r, h, d] * keys[r, h // group, c, d, :].
Output of row r, head h: sum over positions p of probability[r, h, p] * values[r, h // group, p, :].
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from espalier.engine.kv.slab import CHUNK, Slab

BUCKET = 16


class Table(NamedTuple):
    """Which table rows each bag sums: bag i those rows[bags[i] : bags[i + 1]]."""

    rows: Tensor
    bags: Tensor

    def sums(self, table: Tensor, weights: Tensor) -> Tensor:
        """Weighted sums of rows of `table` [T, width]: [bags, width]."""
        return torch.embedding_bag(table, self.rows, self.bags, mode=0, per_sample_weights=weights)[0]


class DecodePlan(NamedTuple):
    """Data that all layers of a step share. `mask` [b, 1, length] is added to the scores; `length` is rounded up."""

    mask: Tensor
    length: int
    keys: Table
    values: Table


class DecodeAttention:
    """Attention with one query per row, for rows 0..b-1. Caches the tables of the last length."""

    def __init__(self, slab: Slab, heads: int) -> None:
        self.slab, self.heads = slab, heads
        rows = torch.arange(slab.rows, device=slab.device) * slab.kv_heads
        group = heads // slab.kv_heads
        self._blocks = (rows[:, None] + torch.arange(heads, device=slab.device) // group).view(-1, 1)
        self._places = torch.arange(slab.max_len, device=slab.device)
        self._hidden = torch.finfo(slab.dtype).min
        self._keys = self._table(0, 0, 1)
        self._values = self._table(0, 0, 1)

    def plan(self, positions: Tensor, longest: int) -> DecodePlan:
        """Prepare a step in which row r attends to its positions 0..positions[r]; positions [b]."""
        slab, count = self.slab, len(positions) * self.heads
        length = -(-(longest + 1) // BUCKET) * BUCKET
        depth = -(-length // CHUNK) * slab.head_dim
        if self._keys.rows.shape[1] != depth:
            self._keys = self._table(slab.chunks * slab.head_dim, depth, slab.head_dim)
        if self._values.rows.shape[1] != length:
            self._values = self._table(slab.max_len, length, length)
        return DecodePlan(
            mask=((self._places[:length] > positions[:, None]) * self._hidden).to(slab.dtype)[:, None],
            length=length,
            keys=_first(self._keys, count, slab.head_dim),
            values=_first(self._values, count, length),
        )

    def attend(self, layer: int, q: Tensor, plan: DecodePlan) -> Tensor:
        """Scaled queries [b, heads, head_dim] -> [b, heads, head_dim]."""
        b, heads, dim = q.shape
        chunks = -(-plan.length // CHUNK)
        weights = q.reshape(-1) if chunks == 1 else q[:, :, None].expand(b, heads, chunks, dim).reshape(-1)
        scores = plan.keys.sums(self.slab.key_tables[layer], weights).view(b, heads, chunks * CHUNK)
        probabilities = (scores[..., : plan.length] + plan.mask).softmax(-1)
        return plan.values.sums(self.slab.value_tables[layer], probabilities.view(-1)).view(b, heads, dim)

    def _table(self, stride: int, width: int, bag: int) -> Table:
        """Table rows stride * block and the next `width` - 1, of every row and head, in bags of `bag`."""
        index = self._blocks * stride + torch.arange(width, device=self._blocks.device)
        return Table(index, torch.arange(0, index.numel(), bag, device=index.device))


def _first(table: Table, count: int, bag: int) -> Table:
    """The bags of the first `count` rows and heads, `bag` table rows to a bag."""
    index = table.rows[:count].view(-1)
    return Table(index, table.bags[: len(index) // bag])
