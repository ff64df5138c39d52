"""The GraphSAGE layer with mean aggregation."""

from __future__ import annotations

from torch import Tensor, nn

from espalier.graph.nn.config import Activation, Norm
from espalier.graph.nn.parts import activation, norm
from espalier.graph.ops.csr import CSR
from espalier.graph.ops.features import Input, project
from espalier.graph.ops.spmm import spmm


class SAGE(nn.Module):
    """out_i = act(norm(W_1 x_i + W_2 mean_j x_j + b)), j over the in-edges of i.

    Source: Hamilton et al. 2017, alg. 1.
    """

    def __init__(
        self, d_in: int, d_out: int, *, dropout: float = 0.0, act: Activation = "none", norm_name: Norm = "none"
    ) -> None:
        super().__init__()
        self.dropout, self.d_out = dropout, d_out
        self.both = nn.Linear(d_in, 2 * d_out, bias=False)
        self.bias = nn.Parameter(self.both.weight.new_zeros(d_out))
        self.norm, self.act = norm(norm_name, d_out), activation(act)

    def forward(self, csr: CSR, x: Input) -> Tensor:
        """x: (N, F). csr: (N, N). Returns (N, out)."""
        own, others = project(x, self.both.weight.t(), self.dropout, self.training).split(self.d_out, 1)
        mean = spmm(csr, others) / csr.degree.clamp(min=1).unsqueeze(1)
        return self.act(self.norm(own + mean + self.bias))
