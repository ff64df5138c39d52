"""The peer of the graph benchmarks: GraphMAE as its paper writes it, dense, on PyTorch Geometric's GATConv."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch_geometric.nn import GATConv


class DenseGraphMAE(nn.Module):
    """Every row of every array is formed: N x F inputs, N x F reconstructions, all codes."""

    def __init__(
        self, n_features: int, hidden: int, heads: int, *, mask: float, replace: float, alpha: float, dropout: float
    ) -> None:
        super().__init__()
        self.mask, self.replace, self.alpha, self.dropout = mask, replace, alpha, dropout
        width = hidden // heads
        self.first = GATConv(n_features, width, heads, dropout=0.1, add_self_loops=False)
        self.second = GATConv(hidden, width, heads, dropout=0.1, add_self_loops=False)
        self.acts = nn.ModuleList([nn.PReLU(), nn.PReLU()])
        self.bridge = nn.Linear(hidden, hidden, bias=False)
        self.decoder = GATConv(hidden, n_features, 1, dropout=0.1, add_self_loops=False)
        self.token = nn.Parameter(torch.zeros(1, n_features))

    def forward(self, x: Tensor, edges: Tensor) -> Tensor:
        """The loss of one masked reconstruction. x: (N, F). edges: (2, E) with self-loops."""
        n = x.shape[0]
        order = torch.randperm(n)
        masked = order[: int(self.mask * n)]
        noise = int(self.replace * masked.numel())
        seen = x.clone()
        seen[masked[: masked.numel() - noise]] = 0.0
        if noise:
            seen[masked[-noise:]] = x[torch.randperm(n)[:noise]]
        seen[masked[: masked.numel() - noise]] += self.token
        h = self.acts[0](self.first(F.dropout(seen, self.dropout), edges))
        h = self.acts[1](self.second(F.dropout(h, self.dropout), edges))
        codes = self.bridge(h)
        codes = codes.index_fill(0, masked, 0.0)
        rebuilt = self.decoder(F.dropout(codes, self.dropout), edges)
        gap = 1.0 - (F.normalize(rebuilt[masked], dim=1) * F.normalize(x[masked], dim=1)).sum(1)
        return gap.pow(self.alpha).mean()
