"""The graph attention layer, as GraphMAE uses it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from espalier.graph.nn.config import Activation, Norm
from espalier.graph.nn.experts import Experts
from espalier.graph.nn.parts import activation, norm
from espalier.graph.ops.attention import attend, attend_heads
from espalier.graph.ops.csr import CSR
from espalier.graph.ops.dropout import dropout
from espalier.graph.ops.features import Input, dense, project


class GAT(nn.Module):
    """out_i = act(norm(concat_h sum_j a_ij^h W_h x_j + bias + residual)), j over the in-edges of i, self-loop included.

    a_ij^h = softmax_j leaky_0.2(s_h . W_h x_j + t_h . W_h x_i), with dropout. Weights start Xavier-normal with gain
    sqrt(2), over (F, out) and (1, heads, width). Source: Veličković et al. 2018; details as in GraphMAE's code.
    """

    def __init__(
        self,
        d_in: int,
        d_out: int,
        heads: int = 1,
        *,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        residual: Literal["none", "linear", "match"] = "none",
        act: Activation = "none",
        norm_name: Norm = "none",
        experts: int = 0,
        trained_gate: bool = True,
    ) -> None:
        super().__init__()
        self.heads, self.width = heads, d_out // heads
        self.dropout, self.attention_dropout = dropout, attention_dropout
        self.experts = Experts(d_in, d_out, experts, trained_gate) if experts else None
        self.weight = nn.Parameter(torch.empty(d_in, 0 if experts else d_out))
        self.source = nn.Parameter(torch.empty(1, heads, self.width))
        self.target = nn.Parameter(torch.empty(1, heads, self.width))
        self.bias = nn.Parameter(torch.zeros(d_out))
        self.skip = nn.Linear(d_in, d_out, bias=False) if residual != "none" and d_in != d_out else None
        self.identity = residual == "match" and d_in == d_out
        self.norm, self.act = norm(norm_name, d_out), activation(act)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew."""
        gain = nn.init.calculate_gain("relu")
        weights = (self.source, self.target) if self.experts else (self.weight, self.source, self.target)
        for weight in weights:
            nn.init.xavier_normal_(weight, gain)
        if self.skip is not None:
            nn.init.xavier_normal_(self.skip.weight, gain)
        nn.init.zeros_(self.bias)

    def forward(self, csr: CSR, x: Input, rows: Tensor | None = None) -> Tensor:
        """x: (N, F). csr: row k lists the in-neighbours of node rows[k], of node k if None. Returns (n_rows, out)."""
        skips = self.skip is not None or self.identity
        rate = self.dropout
        if skips:  # the skip connection reads the same dropped features, so they are formed
            x, rate = dropout(dense(x), rate, self.training), 0.0
        if self.experts:
            z = self.experts(dropout(dense(x), rate, self.training))
        else:
            z = project(x, self.weight, rate, self.training)
        z = z.view(-1, self.heads, self.width)
        out = attend_heads(csr, z, self.source[0], self.target[0], rows, self._keep(csr, z))
        out = out.reshape(csr.n_rows, -1) + self.bias
        if skips:
            assert isinstance(x, Tensor)
            own = x if rows is None else x.index_select(0, rows)
            out = out + (own if self.skip is None else self.skip(own))
        return self.act(self.norm(out))

    def attended(self, csr: CSR, x: Tensor, rows: Tensor | None = None) -> Tensor:
        """(n_rows, heads, F): the attention-weighted sums of x (N, F) itself; times W they are the layer's output.

        Attention and product commute; with one head this order is cheaper where few rows or wide outputs are wanted.
        """
        by_head = self.weight.view(-1, self.heads, self.width)
        source = x @ (by_head * self.source).sum(-1)
        target = (x if rows is None else x.index_select(0, rows)) @ (by_head * self.target).sum(-1)
        return attend(csr, x, source, target, self._keep(csr, x))

    def _keep(self, csr: CSR, like: Tensor) -> Tensor | None:
        if not self.training or self.attention_dropout == 0.0:
            return None
        return dropout(like.new_ones(csr.nnz, self.heads), self.attention_dropout, True)
