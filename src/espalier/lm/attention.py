"""Attention plans. The decoder is flat; only an attention plan knows about rows and caches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from espalier.lm.native.attention import RowPlan, attention
from espalier.lm.native.library import library_for

KERNEL = 1024
"""Up to this length of the longest row, the C kernel is faster than PyTorch's operators."""
SHORT = 128
"""Up to this width, plain matrix products are faster than the fused CPU kernel, whose blocks are larger."""

SLACK = 0.8
"""Rows are padded together when the shortest has at least this share of the longest's tokens."""


class Attention(Protocol):
    """Attention over one forward pass's N tokens."""

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Rotated q [N, H, D], k [N, KV, D] and v [N, KV, D] of a layer -> [N, H, D]."""
        ...


@dataclass(frozen=True, slots=True)
class _Bucket:
    """Rows of similar length. tokens: Long [rows, width], flat index of each; a padded place repeats the first."""

    tokens: Tensor
    real: Tensor

    @property
    def shape(self) -> tuple[int, int]:
        rows, width = self.tokens.shape
        return rows, width


class _Places(NamedTuple):
    """Between flat [N, heads] and padded [rows, heads, width] of every bucket in turn.

    there: flat index of each padded place. back: a padded place of each flat index. copies: further places of flat
    indices that several rows share.
    """

    there: Tensor
    back: Tensor
    copies: Tensor


class PackedAttention:
    """Causal attention within each of the concatenated rows, for training and scoring.

    In fp32 on CPU it is one call of a C kernel, if no row has more than `KERNEL` tokens and the head width is a
    multiple of the kernel's vectors. Otherwise rows are padded on the right, in buckets of similar length, and only in
    this class; the causal mask hides right padding. The index of each token is computed once and used by every layer,
    forward and backward.

    `flat` [sum of lengths] is the index of each token of each row among the N tokens, which rows with a common prefix
    may share; without it the rows are simply concatenated.
    """

    def __init__(
        self,
        lengths: Sequence[int],
        device: torch.device | str = "cpu",
        flat: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self.count = int(sum(lengths)) if flat is None else int(flat.max(initial=-1)) + 1
        self._lengths = np.asarray(lengths, np.int64)
        self._flat = np.arange(self.count) if flat is None else flat
        self._device = torch.device(device)
        self._places: dict[int, _Places] = {}

    def __call__(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """See `Attention`."""
        heads, kv_heads = q.shape[1], k.shape[1]
        if not self.count:
            return q
        if self._lengths.max() <= KERNEL and (kernels := library_for(q)) and not q.shape[-1] % kernels.lanes():
            return attention(q, k, v, self._plan)
        query_places, key_places = self._place(heads), self._place(kv_heads)
        parts = zip(
            self.buckets,
            self._spread(q, query_places),
            self._spread(k, key_places),
            self._spread(v, key_places),
            strict=True,
        )
        outs = [_attend(*part, heads, kv_heads) for part in parts]
        out: Tensor = _Collect.apply(torch.cat(outs), query_places.back)  # type: ignore[no-untyped-call]
        return out.view(q.shape)

    @cached_property
    def buckets(self) -> list[_Bucket]:
        """The rows, padded, where the kernel does not support them."""
        return _buckets(self._lengths, self._flat, self._device)

    @cached_property
    def _plan(self) -> RowPlan:
        return RowPlan(self._lengths, self._flat)

    def _spread(self, x: Tensor, places: _Places) -> tuple[Tensor, ...]:
        rows = _Spread.apply(x.reshape(-1, x.shape[-1]), *places)  # type: ignore[no-untyped-call]
        return torch.split(rows, [bucket.tokens.numel() * x.shape[1] for bucket in self.buckets])

    def _place(self, heads: int) -> _Places:
        if heads in self._places:
            return self._places[heads]
        head = torch.arange(heads, device=self.buckets[0].tokens.device)[:, None]
        there = torch.cat([(b.tokens[:, None] * heads + head).flatten() for b in self.buckets])
        real = torch.cat([b.real[:, None].expand(-1, heads, -1).flatten() for b in self.buckets])
        slots = real.nonzero()[:, 0].cpu().numpy()
        places, found = there.cpu().numpy()[slots], np.empty(self.count * heads, np.int64)
        found[places] = slots  # of several places numpy takes the last, always; torch any of them
        copies = slots[found[places] != slots]
        back, copied = (torch.from_numpy(array).to(there.device) for array in (found, copies))
        self._places[heads] = _Places(there, back, copied)
        return self._places[heads]


def packed_positions(lengths: Sequence[int], device: torch.device | str = "cpu") -> Tensor:
    """[N] position of each token within its row."""
    size = np.asarray(lengths, np.int64)
    starts = np.cumsum(size) - size
    return torch.from_numpy(np.arange(size.sum()) - np.repeat(starts, size)).to(device)


def _buckets(lengths: npt.NDArray[np.int64], flat: npt.NDArray[np.int64], device: torch.device) -> list[_Bucket]:
    starts = np.cumsum(lengths) - lengths
    order = np.argsort(-lengths, kind="stable")
    buckets = []
    while len(order) and (width := int(lengths[order[0]])):
        size = int(np.count_nonzero(lengths[order] >= SLACK * width))
        chosen, order = order[:size], order[size:]
        real = np.arange(width) < lengths[chosen, None]
        tokens = flat[starts[chosen, None] + np.where(real, np.arange(width), 0)]
        buckets.append(_Bucket(torch.from_numpy(tokens).to(device), torch.from_numpy(real).to(device)))
    return buckets


def _attend(bucket: _Bucket, q: Tensor, k: Tensor, v: Tensor, heads: int, kv_heads: int) -> Tensor:
    """q, k, v of a bucket, [rows * its heads * width, D] each -> like q."""
    (rows, width), dim = bucket.shape, q.shape[-1]
    if width > SHORT or q.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        q, k, v = (x.view(rows, -1, width, dim) for x in (q, k, v))
        out = F.scaled_dot_product_attention(q, k, v, is_causal=True, enable_gqa=heads != kv_heads)
        return out.reshape(-1, dim)
    q, k, v = (x.view(rows * kv_heads, -1, dim) for x in (q, k, v))  # heads that share keys become more queries
    future = torch.full((width, width), -torch.inf, dtype=q.dtype).triu_(1).repeat(heads // kv_heads, 1)
    scores = torch.baddbmm(future, q, k.mT, alpha=dim**-0.5)
    return torch.bmm(scores.softmax(-1), v).view(-1, dim)


class _Spread(torch.autograd.Function):
    """Rows to their padded places. Padding is copied from somewhere, and its gradient is nil by the causal mask."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, there: Tensor, back: Tensor, copies: Tensor) -> Tensor:
        ctx.save_for_backward(there, back, copies)
        return x.index_select(0, there)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None, None]:
        there, back, copies = ctx.saved_tensors
        grad = grads[0].index_select(0, back)
        if len(copies):
            grad.index_add_(0, there[copies], grads[0][copies])
        return grad, None, None, None


class _Collect(torch.autograd.Function):
    """Rows from their padded places."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        ctx.places = len(x)
        return x.index_select(0, back)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (back,) = ctx.saved_tensors
        padded = grads[0].new_zeros(ctx.places, grads[0].shape[-1])
        return padded.index_copy_(0, back, grads[0]), None
