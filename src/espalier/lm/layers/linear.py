"""The projection of a layer."""

from __future__ import annotations

from torch import Tensor, nn

from espalier.lm.native.linear import linear


class Linear(nn.Linear):
    """`torch.nn.Linear`; large products on an AMD processor are computed by oneDNN."""

    def forward(self, x: Tensor) -> Tensor:
        """[N, in] -> [N, out]."""
        return linear(x, self.weight, self.bias)
