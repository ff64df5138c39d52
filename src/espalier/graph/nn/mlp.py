"""A layer without neighbours: the baseline that shows what the graph adds."""

from __future__ import annotations

from torch import Tensor, nn

from espalier.graph.nn.config import Activation, Norm
from espalier.graph.nn.parts import activation, norm
from espalier.graph.ops.csr import CSR
from espalier.graph.ops.features import Input, project


class Dense(nn.Module):
    """out = act(norm(X W + b))."""

    def __init__(
        self, d_in: int, d_out: int, *, dropout: float = 0.0, act: Activation = "none", norm_name: Norm = "none"
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.linear = nn.Linear(d_in, d_out)
        self.norm, self.act = norm(norm_name, d_out), activation(act)

    def forward(self, csr: CSR, x: Input) -> Tensor:
        """x: (N, F). csr is not used. Returns (N, out)."""
        z = project(x, self.linear.weight.t(), self.dropout, self.training)
        return self.act(self.norm(z + self.linear.bias))
