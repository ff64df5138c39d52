"""Who attends to whom. The decoder is flat; an attention plan alone knows of rows and caches."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class Attention(Protocol):
    """Attention over one forward pass's N tokens."""

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Rotated q [N, H, D], k [N, KV, D] and v [N, KV, D] of a layer -> [N, H, D]."""
        ...


class PackedAttention:
    """Causal attention within each of the rows that are packed end to end.

    Rows are padded on the right, and only in here: a causal mask keeps the padding out of sight by itself.
    """

    def __init__(self, lengths: Sequence[int], device: torch.device | str = "cpu") -> None:
        size = torch.tensor(lengths)
        width = int(size.max()) if len(size) else 0
        real = torch.arange(width) < size[:, None]
        self.rows, self.width = len(size), width
        self.slots = real.flatten().nonzero().flatten().to(device)

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `Attention`."""
        q, k, v = (self._pad(x) for x in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=q.shape[1] != k.shape[1])
        return out.transpose(1, 2).reshape(self.rows * self.width, *out.shape[1::2])[self.slots]

    def _pad(self, x: Tensor) -> Tensor:
        """[N, heads, D] -> [rows, heads, width, D]."""
        padded = x.new_zeros(self.rows * self.width, *x.shape[1:]).index_copy(0, self.slots, x)
        return padded.view(self.rows, self.width, *x.shape[1:]).transpose(1, 2)


def packed_positions(lengths: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """[N] position of each token within its row."""
    size = torch.tensor(lengths)
    starts = size.cumsum(0) - size
    return (torch.arange(int(size.sum())) - starts.repeat_interleave(size)).to(device)
