"""Layers that work on each token by itself, with their gradients, as calls of C kernels."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from espalier.core.kernels import count, pointer
from espalier.lm.native.library import kernels, threads


class Turn(NamedTuple):
    """The angles of N tokens: cos and sin [N, 1, width], in the layout of `Rotation`."""

    cos: Tensor
    sin: Tensor
    interleaved: bool


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """silu(gate) * up of gate and up [N, size]. Raises ValueError if their shapes differ."""
    if gate.shape != up.shape or gate.dim() != 2:
        raise ValueError(f"gate {tuple(gate.shape)} and up {tuple(up.shape)} must be two matrices of one shape")
    out: Tensor = _SwiGLU.apply(gate, up)  # type: ignore[no-untyped-call]
    return out


def norm_turn(x: Tensor, weight: Tensor | None = None, eps: float = 0.0, turn: Turn | None = None) -> Tensor:
    """RMSNorm of x [N, heads, dim] with `weight` [dim], if given; then the rotation, if given."""
    out: Tensor = _NormTurn.apply(x, weight, eps, turn)  # type: ignore[no-untyped-call]
    return out


class _SwiGLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        native = kernels()
        gate, up = _rows(gate), _rows(up)
        out = gate.new_empty(gate.shape)
        native.swiglu(threads(out.numel()), *_shape(gate, up), _start(gate), _start(up), pointer(out))
        ctx.save_for_backward(gate, up)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        native = kernels()
        gate, up = ctx.saved_tensors
        grad = grads[0].contiguous()
        by_gate, by_up = torch.empty_like(grad), torch.empty_like(grad)
        native.swiglu_backward(
            threads(grad.numel()),
            *_shape(gate, up),
            _start(gate),
            _start(up),
            *map(pointer, (grad, by_gate, by_up)),
        )
        return by_gate, by_up


class _NormTurn(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, eps: float, turn: Turn | None) -> Tensor:
        native = kernels()
        x = x.contiguous()
        out = torch.empty_like(x)
        scales = x.new_empty(x.shape[:-1]) if weight is not None else None
        cos, sin = (turn.cos, turn.sin) if turn is not None else (None, None)
        native.norm_turn(
            threads(x.numel()), *_sizes(x, turn), ctypes.c_float(eps), *map(pointer, (x, weight, cos, sin, scales, out))
        )
        ctx.save_for_backward(x if weight is not None else None, weight, scales, cos, sin)
        ctx.turn_sizes = _sizes(x, turn)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor | None, None, None]:
        native = kernels()
        x, weight, scales, cos, sin = ctx.saved_tensors
        grad = grads[0].contiguous()
        by_x, blocks = torch.empty_like(grad), None
        if weight is not None and ctx.needs_input_grad[1]:
            blocks = grad.new_empty(-(-len(grad) // native.block()), grad.shape[-1])
        native.norm_turn_backward(
            threads(grad.numel()),
            *ctx.turn_sizes,
            *map(pointer, (x, weight, cos, sin, scales, grad, by_x, blocks)),
        )
        return by_x, None if blocks is None else blocks.sum(0), None, None


def _rows(x: Tensor) -> Tensor:
    """`x` [N, size] with its values of a row next to each other."""
    return x if x.stride(-1) == 1 else x.contiguous()


def _start(x: Tensor) -> ctypes.c_void_p:
    return ctypes.c_void_p(x.data_ptr())


def _shape(gate: Tensor, up: Tensor) -> tuple[ctypes.c_int64, ...]:
    n, size = gate.shape
    return count(n), count(size), count(gate.stride(0)), count(up.stride(0))


def _sizes(x: Tensor, turn: Turn | None) -> tuple[Any, ...]:
    n, heads, dim = x.shape
    width = turn.cos.shape[-1] if turn is not None else 0
    return count(n), count(heads), count(dim), count(width), ctypes.c_int(turn is not None and turn.interleaved)
