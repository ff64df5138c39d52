"""Graph attention: edge softmax and the weighted sum over neighbours in one operator, forward and backward."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from espalier.graph.ops.csr import CSR
from espalier.graph.ops.library import OF_DTYPE, count, numeric_kernels, pointer

SLOPE = 0.2
"""Negative slope of the LeakyReLU on attention logits, in every GAT."""


def attend(csr: CSR, z: Tensor, source: Tensor, target: Tensor, keep: Tensor | None = None) -> Tensor:
    """Per head h: softmax over the entries (i, j) of row i of leaky(source[j] + target[i]), then the sum of z[j].

    z: (n_cols, heads, width), or (n_cols, width) shared by all heads. source: (n_cols, heads). target: (n_rows, heads).
    keep: (nnz, heads) factors on the attention weights (their dropout), ones if None. Returns (n_rows, heads, width); a
    row without entries is zero. Source: Veličković et al. 2018, eq. 3-4.
    """
    if numeric_kernels(z, source, target):
        keep = None if keep is None else keep.contiguous()
        return _Attend.apply(csr, z.contiguous(), source.contiguous(), target.contiguous(), keep)  # type: ignore[no-untyped-call]
    return attend_plain(csr, z, source, target, keep)


def attend_plain(csr: CSR, z: Tensor, source: Tensor, target: Tensor, keep: Tensor | None = None) -> Tensor:
    """`attend` in PyTorch operators: used on a GPU, and to test the kernels."""
    weight = edge_softmax(csr, F.leaky_relu(source[csr.columns] + target[csr.rows], SLOPE))
    if keep is not None:
        weight = weight * keep
    values = z[csr.columns] if z.dim() == 3 else z[csr.columns].unsqueeze(1)
    messages = weight.unsqueeze(-1) * values
    return messages.new_zeros(csr.n_rows, *messages.shape[1:]).index_add(0, csr.rows, messages)


def edge_softmax(csr: CSR, logits: Tensor) -> Tensor:
    """Softmax of (nnz, heads) logits over the entries of each row."""
    index = csr.rows.unsqueeze(1).expand_as(logits)
    top = logits.new_zeros(csr.n_rows, logits.shape[1])
    top = top.scatter_reduce(0, index, logits.detach(), "amax", include_self=False)
    weight = (logits - top[csr.rows]).exp()
    total = weight.new_zeros(csr.n_rows, logits.shape[1]).index_add(0, csr.rows, weight)
    return weight / total[csr.rows]


def attend_heads(
    csr: CSR,
    z: Tensor,
    by_source: Tensor,
    by_target: Tensor,
    rows: Tensor | None = None,
    keep: Tensor | None = None,
) -> Tensor:
    """`attend` with the logits of GAT: source = z . by_source and target = z . by_target, head by head.

    z: (n_cols, heads, width). by_source, by_target: (heads, width). rows: (n_rows,) int64, the node of each row of csr;
    None if row i is node i. No array of z's size is formed except the gradient.
    """
    if numeric_kernels(z, by_source, by_target):
        keep = None if keep is None else keep.contiguous()
        return _AttendHeads.apply(csr, z.contiguous(), by_source.contiguous(), by_target.contiguous(), rows, keep)  # type: ignore[no-untyped-call]
    source, target = (z * by_source).sum(-1), (z * by_target).sum(-1)
    return attend_plain(csr, z, source, target if rows is None else target.index_select(0, rows), keep)


class _Attend(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, csr: CSR, z: Tensor, source: Tensor, target: Tensor, keep: Tensor | None) -> Tensor:
        alpha, out = _forward(csr, z, source, target, keep)
        ctx.csr = csr
        ctx.save_for_backward(z, source, target, keep, alpha)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor, Tensor, Tensor, None]:
        z, source, target, keep, alpha = ctx.saved_tensors
        grad = grads[0].contiguous()
        logit_grad, target_grad = _rows_backward(ctx.csr, z, source, target, keep, alpha, grad)
        z_grad, source_grad = _columns_backward(ctx.csr, z, keep, alpha, grad, logit_grad)
        return None, z_grad, source_grad, target_grad, None


class _AttendHeads(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, csr: CSR, z: Tensor, by_source: Tensor, by_target: Tensor, rows: Tensor | None, keep: Tensor | None
    ) -> Tensor:
        n, heads, width = z.shape
        source, every = z.new_empty(n, heads), z.new_empty(n, heads)
        arrays = map(pointer, (z, by_source, by_target, source, every))
        _kernels(z).head_dots(torch.get_num_threads(), count(n), count(heads), count(width), *arrays)
        target = every if rows is None else every.index_select(0, rows)
        alpha, out = _forward(csr, z, source, target, keep)
        ctx.csr, ctx.rows = csr, rows
        ctx.save_for_backward(z, by_source, by_target, source, target, keep, alpha)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[None, Tensor, Tensor, Tensor, None, None]:
        z, by_source, by_target, source, target, keep, alpha = ctx.saved_tensors
        grad = grads[0].contiguous()
        logit_grad, target_grad = _rows_backward(ctx.csr, z, source, target, keep, alpha, grad)
        if ctx.rows is not None:
            target_grad = torch.zeros_like(source).index_add_(0, ctx.rows, target_grad)
        own = (by_source, by_target, target_grad)
        z_grad, source_grad = _columns_backward(ctx.csr, z, keep, alpha, grad, logit_grad, own)
        by_head = z.transpose(0, 1)
        vectors = (torch.bmm(g.t().unsqueeze(1), by_head).squeeze(1) for g in (source_grad, target_grad))
        return None, z_grad, *vectors, None, None  # type: ignore[return-value]


def _forward(csr: CSR, z: Tensor, source: Tensor, target: Tensor, keep: Tensor | None) -> tuple[Tensor, Tensor]:
    alpha = z.new_empty(csr.nnz, source.shape[1])
    out = z.new_empty(csr.n_rows, source.shape[1], z.shape[-1])
    arrays = map(pointer, (source, target, keep, z, alpha, out))
    _kernels(z).attend(*_sizes(csr.n_rows, source, z), pointer(csr.indptr), pointer(csr.indices), _slope(z), *arrays)
    return alpha, out


def _rows_backward(csr: CSR, *given: Tensor) -> tuple[Tensor, Tensor]:
    """given: z, source, target, keep, alpha, gradient of the output. Returns the gradients of logits and targets."""
    z, source, target, keep, alpha, grad = given
    logit_grad, target_grad = torch.empty_like(alpha), torch.empty_like(target)
    arrays = map(pointer, (source, target, keep, z, alpha, grad, logit_grad, target_grad))
    sizes = _sizes(csr.n_rows, source, z)
    _kernels(z).attend_rows(*sizes, pointer(csr.indptr), pointer(csr.indices), _slope(z), *arrays)
    return logit_grad, target_grad


def _columns_backward(
    csr: CSR,
    z: Tensor,
    keep: Tensor | None,
    alpha: Tensor,
    grad: Tensor,
    logit_grad: Tensor,
    own: tuple[Tensor, Tensor, Tensor] | tuple[None, None, None] = (None, None, None),
) -> tuple[Tensor, Tensor]:
    """Gradients of z and of the sources. own: by_source, by_target and the targets' gradient, of `attend_heads`."""
    transposed, position = csr.transposed
    z_grad, source_grad = torch.empty_like(z), z.new_empty(transposed.n_rows, alpha.shape[1])
    pattern = (transposed.indptr, transposed.indices, position)
    arrays = map(pointer, (*pattern, keep, alpha, grad, logit_grad, *own, z_grad, source_grad))
    _kernels(z).attend_columns(*_sizes(transposed.n_rows, source_grad, z), *arrays)
    return z_grad, source_grad


def _kernels(z: Tensor) -> ctypes.CDLL:
    kernels = numeric_kernels(z)
    assert kernels is not None
    return kernels


def _sizes(rows: int, logits: Tensor, z: Tensor) -> tuple[object, ...]:
    return torch.get_num_threads(), count(rows), count(logits.shape[1]), count(z.shape[-1]), int(z.dim() == 2)


def _slope(z: Tensor) -> ctypes.c_float | ctypes.c_double:
    return ctypes.c_float(SLOPE) if OF_DTYPE[z.dtype] == "float" else ctypes.c_double(SLOPE)
