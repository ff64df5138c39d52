"""Sparse times dense: the sum over neighbours, and what its gradients need."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
from torch import Tensor

from espalier.graph.ops.csr import CSR, SparseMatrix
from espalier.graph.ops.library import count, numeric_kernels, pointer


def spmm(csr: CSR, x: Tensor, values: Tensor | None = None) -> Tensor:
    """out[i] = sum over entries (i, j) of values * x[j]. Differentiable in `x` and `values`.

    x: (n_cols, width). values: (nnz,), ones if None. Returns (n_rows, width).
    """
    return _Spmm.apply(csr, x.contiguous(), None if values is None else values.contiguous())  # type: ignore[no-untyped-call]


def sampled_dot(csr: CSR, a: Tensor, b: Tensor) -> Tensor:
    """out[e] = a[i] . b[j] for each entry e = (i, j). a: (n_rows, width), b: (n_cols, width); returns (nnz,)."""
    return _SampledDot.apply(csr, a.contiguous(), b.contiguous())  # type: ignore[no-untyped-call]


def matmul(x: Tensor | SparseMatrix, weight: Tensor) -> Tensor:
    """x @ weight for dense or sparse x (N, F). Differentiable in `weight`, and in a dense x."""
    return spmm(x.csr, weight, x.values) if isinstance(x, SparseMatrix) else x @ weight


def _sum(csr: CSR, x: Tensor, values: Tensor | None, position: Tensor | None = None) -> Tensor:
    """`spmm` without gradients; `position` says where each entry's value stands."""
    kernels = numeric_kernels(x) if values is None else numeric_kernels(x, values)
    out = x.new_empty(csr.n_rows, x.shape[1])
    if kernels:
        arrays = map(pointer, (csr.indptr, csr.indices, position, values, x, out))
        kernels.spmm(torch.get_num_threads(), count(csr.n_rows), count(x.shape[1]), *arrays)
        return out
    messages = x.index_select(0, csr.columns)
    if values is not None:
        messages = messages * (values if position is None else values[position]).unsqueeze(1)
    return out.zero_().index_add_(0, csr.rows, messages.to(out.dtype))


def _dot(csr: CSR, a: Tensor, b: Tensor) -> Tensor:
    if kernels := numeric_kernels(a, b):
        out = a.new_empty(csr.nnz)
        arrays = map(pointer, (csr.indptr, csr.indices, a, b, out))
        kernels.sddmm(torch.get_num_threads(), count(csr.n_rows), count(a.shape[1]), *arrays)
        return out
    return (a.index_select(0, csr.rows) * b.index_select(0, csr.columns)).sum(1)


class _Spmm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, csr: CSR, x: Tensor, values: Tensor | None) -> Tensor:
        ctx.csr = csr
        ctx.save_for_backward(x if values is not None and values.requires_grad else None, values)
        return _sum(csr, x, values)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor | None, Tensor | None]:
        x, values = ctx.saved_tensors
        grad = grads[0].contiguous()
        x_grad = values_grad = None
        if ctx.needs_input_grad[1]:
            transposed, position = ctx.csr.transposed
            x_grad = _sum(transposed, grad, values, position)
        if ctx.needs_input_grad[2]:
            values_grad = _dot(ctx.csr, grad, x)
        return None, x_grad, values_grad


class _SampledDot(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, csr: CSR, a: Tensor, b: Tensor) -> Tensor:
        ctx.csr = csr
        ctx.save_for_backward(a, b)
        return _dot(csr, a, b)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors
        grad = grads[0].contiguous()
        a_grad = b_grad = None
        if ctx.needs_input_grad[1]:
            a_grad = _sum(ctx.csr, b, grad)
        if ctx.needs_input_grad[2]:
            transposed, position = ctx.csr.transposed
            b_grad = _sum(transposed, a, grad, position)
        return None, a_grad, b_grad


def seed_argument() -> ctypes.c_uint64:
    """A fresh 62-bit seed for a kernel, from torch's generator: `torch.manual_seed` repeats it."""
    return ctypes.c_uint64(int(torch.randint(2**62, ())))
