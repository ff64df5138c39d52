"""Attention over the slab for one step: every active row's newest token, and the prompts being prefilled."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from espalier.engine.forward.decode import DecodeAttention, DecodePlan
from espalier.engine.forward.prefill import PrefillBatch, PrefillChunk, prefill_batches


class Batch(NamedTuple):
    """The tokens of one step: first one of each of the rows 0..decoding-1, then those of `chunks`, one after the other.

    rows, positions [N]: of every token. longest: the highest position of the decoding ones. chunks: prompt positions
    being prefilled, shortest first.
    """

    rows: Tensor
    positions: Tensor
    decoding: int
    longest: int
    chunks: list[PrefillChunk]


def make_batch(positions: npt.NDArray[np.int64], chunks: list[PrefillChunk], device: torch.device) -> Batch:
    """The batch that computes `positions` [b] of rows 0..b-1 and, before them, `chunks`."""
    decoding, longest, rows = len(positions), int(positions.max()), np.arange(len(positions))
    chunks = sorted(chunks, key=lambda chunk: chunk.stop - chunk.start)
    if chunks:
        rows = np.concatenate([rows, *(np.full(chunk.stop - chunk.start, chunk.row) for chunk in chunks)])
        positions = np.concatenate([positions, *(np.arange(chunk.start, chunk.stop) for chunk in chunks)])
    return Batch(torch.from_numpy(rows).to(device), torch.from_numpy(positions).to(device), decoding, longest, chunks)


class BatchAttention:
    """The attention plan of one step; satisfies `espalier.lm.attention.Attention`.

    All KV of a layer is written before attention is computed, so a row's newest token attends to the chunk before
    it.
    """

    def __init__(self, decoding: DecodeAttention, batch: Batch, *, scale: float) -> None:
        self.decoding, self.slab, self.batch, self.scale = decoding, decoding.slab, batch, scale

    @cached_property
    def slots(self) -> tuple[Tensor, Tensor, Tensor]:
        """Where the step's keys and values are written. Computed at first use, like the next two."""
        return self.slab.slots(self.batch.rows, self.batch.positions)

    @cached_property
    def decode(self) -> DecodePlan:
        """The attention plan of the rows' newest tokens."""
        return self.decoding.plan(self.batch.positions[: self.batch.decoding], self.batch.longest)

    @cached_property
    def prefill(self) -> list[PrefillBatch]:
        """The attention plan of the prompts being prefilled."""
        return prefill_batches(self.batch.chunks, self.batch.decoding, self.slab) if self.batch.chunks else []

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Write k, v [N, kv_heads, head_dim]; attend with q [N, heads, head_dim] -> [N, heads, head_dim]."""
        return self.attend(layer, q * self.scale, k, v)

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """The same for queries that are already scaled."""
        self.slab.write(layer, self.slots, k, v)
        out = self.decoding.attend(layer, q[: self.batch.decoding], self.decode)
        if not self.prefill:
            return out
        return torch.cat([out, *(batch.attend(self.slab, layer, q) for batch in self.prefill)])
