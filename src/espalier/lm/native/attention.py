"""Causal attention within rows that may share their first tokens, as a call of a C kernel."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from espalier.core.kernels import pointer
from espalier.lm.native.library import kernels

_Ints = npt.NDArray[np.int64]


class _Plan(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int64) for name in ("sets", "heads", "kv_heads", "dim", "longest")),
        ("scale", ctypes.c_float),
        *((name, ctypes.c_void_p) for name in ("set", "start", "own", "flat")),
    )


class RowPlan:
    """Which tokens make up the rows: `flat` [sum of lengths] is the index of each token of each row among all tokens.

    Rows may share tokens at their beginning only. A shared token is a query of the first row that has it. Rows that
    share tokens are neighbours in `set`.
    """

    def __init__(self, lengths: _Ints, flat: _Ints) -> None:
        lengths = lengths[lengths > 0]
        starts = np.cumsum(lengths) - lengths
        _, first, owner = np.unique(flat, return_index=True, return_inverse=True)
        places, position = np.arange(len(flat)), np.arange(len(flat)) - np.repeat(starts, lengths)
        shared = (first[owner] != places).astype(np.int64)
        own = np.add.reduceat(shared, starts) if len(starts) else starts
        row_of = np.repeat(np.arange(len(lengths)), lengths)
        label = row_of[first[owner[starts]]]  # the row that has its first token first, its own or another
        at_the_start = (shared == (position < own[row_of])).all() and (position[first[owner]] == position).all()
        if not at_the_start or (label[row_of[first[owner]]] != label[row_of]).any():
            raise ValueError("rows may share tokens at their beginning only")
        self.count = len(first)
        order = np.argsort(label, kind="stable")
        self.set = np.append(np.flatnonzero(np.diff(label[order], prepend=-1)), len(order)).astype(np.int64)
        self.start = np.concatenate(([0], np.cumsum(lengths[order]))).astype(np.int64)
        self.own = own[order].astype(np.int64)
        pieces = [flat[starts[i] : starts[i] + lengths[i]] for i in order]
        self.flat = np.concatenate([*pieces, np.empty(0, np.int64)]).astype(np.int64)
        self.longest = int(lengths.max(initial=1))

    def structure(self, q: Tensor, k: Tensor, step: int) -> _Plan:
        """What the kernel takes; it refers to the arrays of this object."""
        arrays = {name: getattr(self, name).ctypes.data for name in ("set", "start", "own", "flat")}
        heads, dim = q.shape[1:]
        return _Plan(
            sets=len(self.set) - 1,
            heads=heads,
            kv_heads=k.shape[1],
            dim=dim,
            longest=-(-self.longest // step) * step,
            scale=dim**-0.5,
            **arrays,
        )


def attention(q: Tensor, k: Tensor, v: Tensor, plan: RowPlan) -> Tensor:
    """q [N, heads, dim], k and v [N, kv_heads, dim] -> [N, heads, dim]. `dim` is a multiple of `lanes()`.

    Raises ValueError if these are not the tokens of the plan, or not of one type.
    """
    if not len(q) == len(k) == len(v) == plan.count or not q.dtype == k.dtype == v.dtype:
        raise ValueError(
            f"the rows have {plan.count} tokens; q, k and v have {len(q)}, {len(k)} and {len(v)}, of the types "
            f"{q.dtype}, {k.dtype} and {v.dtype}"
        )
    out: Tensor = _RowAttention.apply(q, k, v, plan)  # type: ignore[no-untyped-call]
    return out


class _RowAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, plan: RowPlan) -> Tensor:
        native = kernels()
        q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
        out, sums = torch.empty_like(q), q.new_empty(q.shape[:2])
        shape, team, memory = _setting(native, plan, q, k)
        native.attention(team, ctypes.byref(shape), *map(pointer, (q, k, v, memory, out, sums)))
        ctx.save_for_backward(q, k, v, out, sums)
        ctx.plan = plan
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        native = kernels()
        q, k, v, out, sums = ctx.saved_tensors
        by_q, by_k, by_v = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        shape, team, memory = _setting(native, ctx.plan, q, k)
        grad = grads[0].contiguous()  # held by a name: the kernel gets only its address
        native.attention_backward(
            team,
            ctypes.byref(shape),
            *map(pointer, (q, k, v, out, sums, grad, memory, by_q, by_k, by_v)),
        )
        return by_q, by_k, by_v, None


def _setting(native: ctypes.CDLL, plan: RowPlan, q: Tensor, k: Tensor) -> tuple[_Plan, ctypes.c_int, Tensor]:
    shape, team = plan.structure(q, k, native.step()), ctypes.c_int(torch.get_num_threads())
    return shape, team, q.new_empty(native.attention_floats(ctypes.byref(shape), team))
