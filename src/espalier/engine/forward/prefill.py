"""Attention of the prompt tokens that one step computes: chunks of similar length as one padded batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from espalier.engine.kv.slab import Slab


class PrefillChunk(NamedTuple):
    """Prompt positions start..stop-1 of row `row`."""

    row: int
    start: int
    stop: int


@dataclass(slots=True)
class PrefillBatch:
    """m chunks of up to T tokens.

    rows [m]. queries [m, T]: index of each query among the step's tokens. back [sum of lengths]: index of each token's
    result in the padded batch. mask [m, 1, T, length], additive: a query attends to its row up to its own position.
    """

    rows: Tensor
    queries: Tensor
    back: Tensor
    mask: Tensor
    length: int

    def attend(self, slab: Slab, layer: int, q: Tensor) -> Tensor:
        """Scaled queries of the step [N, heads, head_dim] -> results of this batch [sum of lengths, heads,
        head_dim].

        The query heads that share a KV head are treated as adjacent query positions.
        """
        m, length = self.queries.shape
        (_, heads, dim), kv_heads = q.shape, slab.kv_heads
        group = heads // kv_heads
        keys, values = slab.gather(layer, self.rows, self.length)
        queries = q[self.queries].view(m, length, kv_heads, group, dim).permute(0, 2, 3, 1, 4)
        queries = queries.reshape(m, kv_heads, group * length, dim)
        mask = self.mask[:, :, None].expand(m, 1, group, length, self.length).reshape(m, 1, -1, self.length)
        out = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, scale=1.0)
        out = out.view(m, kv_heads, group, length, dim).permute(0, 3, 1, 2, 4)
        return out.reshape(m * length, heads, dim)[self.back]


def prefill_batches(chunks: list[PrefillChunk], offset: int, slab: Slab) -> list[PrefillBatch]:
    """Group chunks, shortest first, so that no padded batch is more than about half padding.

    The tokens of the first chunk begin at `offset` among the step's tokens, the others follow.
    """
    batches: list[PrefillBatch] = []
    begin = 0
    while begin < len(chunks):
        shortest = chunks[begin].stop - chunks[begin].start
        end = begin
        while end < len(chunks) and chunks[end].stop - chunks[end].start <= 2 * shortest:
            end += 1
        batches.append(_batch(chunks[begin:end], offset, slab))
        offset += sum(chunk.stop - chunk.start for chunk in chunks[begin:end])
        begin = end
    return batches


def _batch(chunks: list[PrefillChunk], offset: int, slab: Slab) -> PrefillBatch:
    first = np.array([chunk.start for chunk in chunks])
    lengths = np.array([chunk.stop for chunk in chunks]) - first
    width, length = int(lengths.max()), max(chunk.stop for chunk in chunks)
    real = np.arange(width) < lengths[:, None]
    starts = offset + np.cumsum(lengths) - lengths
    queries = np.where(real, starts[:, None] + np.arange(width), offset)
    last_seen = np.where(real, first[:, None] + np.arange(width), 0)
    mask = np.where(np.arange(length) <= last_seen[:, :, None], 0.0, -np.inf)[:, None]
    return PrefillBatch(
        rows=torch.tensor([chunk.row for chunk in chunks], device=slab.device),
        queries=torch.from_numpy(queries).to(slab.device),
        back=torch.from_numpy(np.flatnonzero(real)).to(slab.device),
        mask=torch.from_numpy(mask).to(slab.device, slab.dtype),
        length=length,
    )
