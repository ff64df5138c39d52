"""The graph isomorphism layer."""

from __future__ import annotations

from torch import Tensor, nn

from espalier.graph.nn.config import Activation, Norm
from espalier.graph.nn.parts import activation, norm
from espalier.graph.ops.csr import CSR
from espalier.graph.ops.dropout import dropout
from espalier.graph.ops.features import Input, dense
from espalier.graph.ops.spmm import spmm


class GIN(nn.Module):
    """out_i = act(norm(MLP(x_i + sum_j x_j))), j over the in-edges of i; MLP = Linear, norm, act, Linear.

    Graphs here have self-loops, so a node counts twice, as in GraphMAE's code. `bare` omits the outer norm and
    activation, for the last layer of a decoder. Source: Xu et al. 2019, eq. 4.1 with epsilon 0.
    """

    def __init__(
        self,
        d_in: int,
        d_out: int,
        *,
        dropout: float = 0.0,
        act: Activation = "prelu",
        norm_name: Norm = "batch",
        hidden: int | None = None,
        bare: bool = False,
    ) -> None:
        super().__init__()
        middle = hidden or d_out
        self.dropout = dropout
        self.mlp = nn.Sequential(
            nn.Linear(d_in, middle), norm(norm_name, middle), activation(act), nn.Linear(middle, d_out)
        )
        self.outer = nn.Identity() if bare else nn.Sequential(norm(norm_name, d_out), activation(act))

    def forward(self, csr: CSR, x: Input) -> Tensor:
        """x: (N, F). csr: (N, N) with self-loops. Returns (N, out)."""
        x = dropout(dense(x), self.dropout, self.training)
        return self.outer(self.mlp(x + spmm(csr, x)))
