"""Root-mean-square norm (Zhang and Sennrich 2019)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from espalier.lm.native.library import library_for
from espalier.lm.native.pointwise import norm_turn


class RMSNorm(nn.RMSNorm):
    """y = w x / sqrt(mean(x^2) + eps) over the last dimension; a C kernel in fp32 on CPU."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__(size, eps)
        self.epsilon = eps

    def forward(self, x: Tensor) -> Tensor:
        """[..., size] -> same shape."""
        if self.weight.dtype == x.dtype and library_for(x):
            rows = x.reshape(-1, 1, x.shape[-1])
            return norm_turn(rows, self.weight, self.epsilon).view(x.shape)
        return F.rms_norm(x, self.weight.shape, self.weight.to(x.dtype), self.epsilon)
