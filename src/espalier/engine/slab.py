"""The KV slab: one block of keys and values a row, allocated once, read as views.

Layout `[layers, 2, rows * kv_heads, max_len, head_dim]`: the keys (and values) of rows 0..b-1 are one strided batch of
matrices, which the CPU's batched matmul takes as it stands. A page table would have to gather them every step.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Slab:
    """Keys and values of `rows` sequences of up to `max_len` tokens, and the final hidden state at every position.

    The hidden states are what lets a fork, or the second sample of a prompt, start without computing anything.
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
    ) -> None:
        self.rows, self.kv_heads, self.max_len, self.head_dim = rows, kv_heads, max_len, head_dim
        self.blocks = torch.zeros(layers, 2, rows * kv_heads, max_len, head_dim, dtype=dtype, device=device)
        self.hidden = torch.zeros(rows, max_len, hidden_size, dtype=dtype, device=device)
        self._by_row = self.blocks.view(layers, 2, rows, kv_heads, max_len, head_dim)
        self._flat = list(self.blocks.view(layers, -1, head_dim))
        self._flat_hidden = self.hidden.view(rows * max_len, hidden_size)
        heads = torch.arange(kv_heads, device=device) * max_len
        self._offsets = torch.cat([heads, heads + rows * kv_heads * max_len])

    def keys(self, layer: int, rows: int, length: int) -> Tensor:
        """Keys of rows 0..rows-1: a view [rows * kv_heads, length, head_dim]."""
        return self.blocks[layer, 0, : rows * self.kv_heads, :length]

    def values(self, layer: int, rows: int, length: int) -> Tensor:
        """Values of rows 0..rows-1: a view [rows * kv_heads, length, head_dim]."""
        return self.blocks[layer, 1, : rows * self.kv_heads, :length]

    def gather(self, layer: int, rows: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Keys and values of chosen rows, copied: two [len(rows), kv_heads, length, head_dim]."""
        keys, values = self._by_row[layer, :, :, :, :length].index_select(1, rows)
        return keys, values

    def slots(self, rows: Tensor, positions: Tensor) -> Tensor:
        """Where `write` puts the keys and values of tokens at `positions` [N] of `rows` [N]: [N, 2 * kv_heads]."""
        return (rows * (self.kv_heads * self.max_len) + positions)[:, None] + self._offsets

    def write(self, layer: int, slots: Tensor, keys_values: Tensor) -> None:
        """Store `keys_values` [N, 2 * kv_heads, head_dim], key heads first."""
        self._flat[layer].index_put_((slots,), keys_values)

    def write_hidden(self, rows: Tensor, positions: Tensor, hidden: Tensor) -> None:
        """Store the final hidden states [N, hidden_size]."""
        self._flat_hidden.index_put_((rows * self.max_len + positions,), hidden)

    def copy(self, source: int, target: int, length: int) -> None:
        """Copy the first `length` positions of row `source` to row `target`."""
        self._by_row[:, :, target, :, :length] = self._by_row[:, :, source, :, :length]
        self.hidden[target, :length] = self.hidden[source, :length]
