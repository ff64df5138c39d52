"""PReLU with one slope for all channels, whose backward pass forms one array instead of three."""

from __future__ import annotations

import ctypes
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from espalier.graph.ops.library import OF_DTYPE, count, numeric_kernels, pointer


class PReLU(nn.Module):
    """max(x, 0) + slope * min(x, 0); the slope is learned and starts at 0.25. Source: He et al. 2015."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((1,), 0.25))

    def forward(self, x: Tensor) -> Tensor:
        """x: any shape. Returns the same shape."""
        fused = x.dim() == 2 and numeric_kernels(x, self.weight)
        return _PReLU.apply(x.contiguous(), self.weight) if fused else F.prelu(x, self.weight)  # type: ignore[no-untyped-call]


class _PReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return F.prelu(x, weight)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        kernels = numeric_kernels(x)
        assert kernels is not None
        x_grad, by_row = torch.empty_like(x), x.new_empty(x.shape[0])
        kind = ctypes.c_float if OF_DTYPE[x.dtype] == "float" else ctypes.c_double
        sizes = (torch.get_num_threads(), count(x.shape[0]), count(x.shape[1]), kind(weight.item()))
        kernels.prelu_backward(*sizes, *map(pointer, (x, grads[0].contiguous(), x_grad, by_row)))
        return x_grad, by_row.sum().view(1)
