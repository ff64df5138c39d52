"""Attention of the prompt tokens that one step computes: spans of similar length as one padded batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from espalier.engine.kv.slab import Slab


class Span(NamedTuple):
    """Prompt positions start..stop-1 of row `row`."""

    row: int
    start: int
    stop: int


@dataclass(slots=True)
class Patch:
    """m spans of up to T tokens.

    rows [m]. queries [m, T]: index of each query among the step's tokens. back [sum of lengths]: where each token's
    result lies in the padded batch. mask [m, 1, T, length], additive: a query sees its row up to its own position.
    """

    rows: Tensor
    queries: Tensor
    back: Tensor
    mask: Tensor
    length: int

    def attend(self, slab: Slab, layer: int, q: Tensor) -> Tensor:
        """Scaled queries of the step [N, heads, head_dim] -> results of this patch [sum of lengths, heads, head_dim].

        The query heads that share a KV head are laid side by side as query positions.
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


def make_patches(spans: list[Span], offset: int, slab: Slab) -> list[Patch]:
    """Group spans, shortest first, so that no padded batch is more than about half padding.

    The tokens of the first span begin at `offset` among the step's tokens, the others follow.
    """
    patches: list[Patch] = []
    begin = 0
    while begin < len(spans):
        shortest = spans[begin].stop - spans[begin].start
        end = begin
        while end < len(spans) and spans[end].stop - spans[end].start <= 2 * shortest:
            end += 1
        patches.append(_patch(spans[begin:end], offset, slab))
        offset += sum(span.stop - span.start for span in spans[begin:end])
        begin = end
    return patches


def _patch(spans: list[Span], offset: int, slab: Slab) -> Patch:
    first = np.array([span.start for span in spans])
    lengths = np.array([span.stop for span in spans]) - first
    width, length = int(lengths.max()), max(span.stop for span in spans)
    real = np.arange(width) < lengths[:, None]
    starts = offset + np.cumsum(lengths) - lengths
    queries = np.where(real, starts[:, None] + np.arange(width), offset)
    last_seen = np.where(real, first[:, None] + np.arange(width), 0)
    mask = np.where(np.arange(length) <= last_seen[:, :, None], 0.0, -np.inf)[:, None]
    return Patch(
        rows=torch.tensor([span.row for span in spans], device=slab.device),
        queries=torch.from_numpy(queries).to(slab.device),
        back=torch.from_numpy(np.flatnonzero(real)).to(slab.device),
        mask=torch.from_numpy(mask).to(slab.device, slab.dtype),
        length=length,
    )
