"""The KV slab: one block of keys and values per row, allocated once, read in place.

Decoding on CPU is bound by the speed of reading the cache. PyTorch's fastest operation for this is the embedding bag: a
weighted sum of table rows. Both products of attention are such sums. The output is the sum of value rows, weighted by
the probabilities; the scores of `CHUNK` positions at once are the sum of the rows of the transposed keys, weighted by
the query. Values are therefore stored as `[position, head_dim]`, keys as `[chunk, head_dim, CHUNK]`.
`benchmarks/rollout.py` compares this with SDPA and with batched matmuls over the same views.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

CHUNK = 32
_LINE = 64


class Slab:
    """Keys and values of `rows` sequences of up to `max_len` tokens, and the final hidden state at every position.

    With the hidden states, a fork or the second sample of a prompt can start without computing anything. They have the
    type `hidden_dtype` if that differs from the type of keys and values.
    """

    def __init__(
        self,
        *,
        layers: int,
        rows: int,
        kv_heads: int,
        max_len: int,
        head_dim: int,
        hidden_size: int,
        dtype: torch.dtype,
        device: torch.device,
        hidden_dtype: torch.dtype | None = None,
    ) -> None:
        self.rows, self.kv_heads, self.head_dim = rows, kv_heads, head_dim
        self.chunks = -(-max_len // CHUNK)
        self.max_len = self.chunks * CHUNK
        self.dtype, self.device = dtype, device
        self.keys = _zeros((layers, rows, kv_heads, self.chunks, head_dim, CHUNK), dtype, device)
        self.values = _zeros((layers, rows, kv_heads, self.max_len, head_dim), dtype, device)
        self.hidden = _zeros((rows, self.max_len, hidden_size), hidden_dtype or dtype, device)
        self.key_tables = list(self.keys.view(layers, -1, CHUNK))
        self.value_tables = list(self.values.view(layers, -1, head_dim))
        self._heads = torch.arange(kv_heads, device=device)

    def slots(self, rows: Tensor, positions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Where `write` puts tokens at `positions` [N] of `rows` [N]: block and chunk [N, kv_heads], place [N, 1]."""
        blocks = (rows * self.kv_heads)[:, None] + self._heads
        return (
            blocks * self.chunks + (positions // CHUNK)[:, None],
            blocks * self.max_len + positions[:, None],
            (positions % CHUNK)[:, None],
        )

    def write(self, layer: int, slots: tuple[Tensor, Tensor, Tensor], keys: Tensor, values: Tensor) -> None:
        """Store `keys` and `values`, each [N, kv_heads, head_dim]."""
        chunk, place, column = slots
        self.key_tables[layer].view(-1, self.head_dim, CHUNK)[chunk, :, column] = keys
        self.value_tables[layer][place] = values

    def write_hidden(self, rows: Tensor, positions: Tensor, hidden: Tensor) -> None:
        """Store the final hidden states [N, hidden_size]."""
        self.hidden[rows, positions] = hidden

    def gather(self, layer: int, rows: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Keys and values of chosen rows, copied: two [len(rows), kv_heads, length, head_dim]."""
        keys = self.keys[layer, :, :, : -(-length // CHUNK)].index_select(0, rows)
        keys = keys.transpose(-1, -2).reshape(len(rows), self.kv_heads, -1, self.head_dim)[:, :, :length]
        return keys, self.values[layer, :, :, :length].index_select(0, rows)

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of row `source` to row `target`."""
        chunks = -(-length // CHUNK)
        self.keys[:, target, :, :chunks] = self.keys[:, source, :, :chunks]
        self.values[:, target, :, :length] = self.values[:, source, :, :length]
        self.hidden[target, :length] = self.hidden[source, :length]

    def swap(self, one: int, other: int, length: int) -> None:
        """Exchange the first `length` positions of two rows."""
        chunks = -(-length // CHUNK)
        for part in (self.keys[:, :, :, :chunks], self.values[:, :, :, :length], self.hidden[None, :, :length]):
            kept = part[:, one].clone()
            part[:, one] = part[:, other]
            part[:, other] = kept


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Zeros, on CPU at a multiple of 64 bytes. There, memory is taken page by page as it is first written to."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    size = math.prod(shape) * dtype.itemsize
    memory = torch.from_numpy(np.zeros(size + _LINE, dtype=np.uint8))
    start = -memory.data_ptr() % _LINE
    return memory[start : start + size].view(dtype).view(shape)
