"""The gated feed-forward layers."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from espalier.lm.layers.linear import Linear
from espalier.lm.native import pointwise as native
from espalier.lm.native.library import library_for


def swiglu(gate: Tensor, up: Tensor) -> Tensor:
    """silu(gate) * up of [N, size] each (Shazeer 2020); a C kernel in fp32 on CPU."""
    return native.swiglu(gate, up) if library_for(gate) else F.silu(gate) * up


class MLP(nn.Module):
    """down(silu(gate(x)) * up(x))."""

    def __init__(self, hidden_size: int, intermediate_size: int) -> None:
        super().__init__()
        self.gate_proj = Linear(hidden_size, intermediate_size, bias=False)
        self.up_proj = Linear(hidden_size, intermediate_size, bias=False)
        self.down_proj = Linear(intermediate_size, hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, hidden] -> [N, hidden]."""
        out: Tensor = self.down_proj(swiglu(self.gate_proj(x), self.up_proj(x)))
        return out


class FusedMLP(nn.Module):
    """The same with gate and up in one matrix, as GLM-4 checkpoints have it."""

    def __init__(self, hidden_size: int, intermediate_size: int) -> None:
        super().__init__()
        self.gate_up_proj = Linear(hidden_size, 2 * intermediate_size, bias=False)
        self.down_proj = Linear(intermediate_size, hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, hidden] -> [N, hidden]."""
        gate, up = self.gate_up_proj(x).chunk(2, dim=-1)
        out: Tensor = self.down_proj(swiglu(gate, up))
        return out
