"""The graph convolution layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from espalier.graph.nn.config import Activation, Norm
from espalier.graph.nn.parts import activation, norm
from espalier.graph.ops.csr import CSR
from espalier.graph.ops.features import Input, project
from espalier.graph.ops.loops import gcn_weights
from espalier.graph.ops.spmm import spmm


class GCN(nn.Module):
    """out = act(norm(D^-1/2 A D^-1/2 X W + b)), A with its self-loops. Source: Kipf and Welling 2017, eq. 2."""

    def __init__(
        self, d_in: int, d_out: int, *, dropout: float = 0.0, act: Activation = "none", norm_name: Norm = "none"
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.weight = nn.Parameter(torch.empty(d_in, d_out))
        self.bias = nn.Parameter(torch.zeros(d_out))
        self.norm, self.act = norm(norm_name, d_out), activation(act)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew: Glorot-uniform, bias 0."""
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)

    def forward(self, csr: CSR, x: Input, weights: Tensor | None = None) -> Tensor:
        """x: (N, F). csr: (N, N) with self-loops. weights: (nnz,) in place of the normalised A. Returns (N, out)."""
        z = project(x, self.weight, self.dropout, self.training)
        values = gcn_weights(csr) if weights is None else weights
        return self.act(self.norm(spmm(csr, z, values.to(z.dtype)) + self.bias))
