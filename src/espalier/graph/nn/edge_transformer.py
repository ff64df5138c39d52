"""The graph transformer layer: dot-product attention along edges."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from espalier.graph.nn.config import Activation, Norm
from espalier.graph.nn.parts import activation, norm
from espalier.graph.ops.attention import edge_softmax
from espalier.graph.ops.csr import CSR
from espalier.graph.ops.dropout import dropout
from espalier.graph.ops.features import Input, project
from espalier.graph.ops.spmm import sampled_dot, spmm


class EdgeTransformer(nn.Module):
    """out_i = act(norm(W_r x_i + concat_h sum_j a_ij^h W_v^h x_j + b)), a_ij^h = softmax_j (q_i^h . k_j^h / sqrt(d)).

    j over the in-edges of i, self-loop included. Source: Shi et al. 2021, eq. 3-4.
    """

    def __init__(
        self,
        d_in: int,
        d_out: int,
        heads: int,
        *,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        act: Activation = "none",
        norm_name: Norm = "none",
    ) -> None:
        super().__init__()
        self.heads, self.width = heads, d_out // heads
        self.dropout, self.attention_dropout = dropout, attention_dropout
        self.all = nn.Linear(d_in, 4 * d_out, bias=False)
        self.bias = nn.Parameter(torch.zeros(d_out))
        self.norm, self.act = norm(norm_name, d_out), activation(act)

    def forward(self, csr: CSR, x: Input) -> Tensor:
        """x: (N, F). csr: (N, N) with self-loops. Returns (N, out)."""
        z = project(x, self.all.weight.t(), self.dropout, self.training)
        own, query, key, value = z.split(self.heads * self.width, 1)
        queries, keys, values = (part.split(self.width, 1) for part in (query, key, value))
        logits = torch.stack([sampled_dot(csr, q, k) for q, k in zip(queries, keys, strict=True)], 1)
        weight = dropout(edge_softmax(csr, logits * self.width**-0.5), self.attention_dropout, self.training)
        mixed = [spmm(csr, v, w) for v, w in zip(values, weight.unbind(1), strict=True)]
        return self.act(self.norm(own + torch.cat(mixed, 1) + self.bias))
