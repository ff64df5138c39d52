"""Matrix products of the layers, by oneDNN where it is faster than the BLAS that PyTorch uses.

PyTorch multiplies fp32 matrices on CPU with MKL. On AMD processors oneDNN is faster from `LARGE` weights on. Below, the
preparation for a new number of tokens takes longer than the product.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from espalier.core.processor import cpuinfo

LARGE = 1 << 18
"""Number of weights."""


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x [N, in], weight [out, in], bias [out] -> [N, out], as `torch.nn.functional.linear`."""
    if not _suits(x, weight):
        return F.linear(x, weight, bias)
    out: Tensor = _Linear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return out


def product(x: Tensor, weight: Tensor) -> Tensor:
    """x [N, in] times weight [out, in] transposed, without a gradient."""
    return _onednn(x, weight, None) if _suits(x, weight) else x @ weight.t()


def _suits(x: Tensor, weight: Tensor) -> bool:
    fp32 = x.dtype == weight.dtype == torch.float32 and x.dim() == 2 and len(x) > 0
    on_cpu = x.device.type == weight.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    return weight.numel() >= LARGE and fp32 and on_cpu and _faster()


@cache
def _faster() -> bool:
    return (
        hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and torch.backends.mkl.is_available()
        and cpuinfo("vendor_id") == "AuthenticAMD"
    )


def _onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    out: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return out


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x if weight.requires_grad else None, weight)
        return _onednn(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad
        grad = grads[0].contiguous()
        by_x = _onednn(grad, weight.t(), None) if wants_x else None
        return by_x, grad.t() @ x if wants_weight else None, grad.sum(0) if wants_bias else None
