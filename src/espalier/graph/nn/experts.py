"""A mixture of linear experts in place of one projection: GraphAlign's first layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

BALANCE = 0.01
"""Weight of the load-balance term of a trained gate (ours)."""


class Experts(nn.Module):
    """x W_e for the expert e with the highest gate score. Source: GraphAlign, section 4.2.

    trained: the output is multiplied by the gate's probability of the chosen expert, with a load-balance loss, so that
    the gate learns. Without it, as in the paper's code, the gate's score is a softmax over the one chosen expert, the
    constant 1. The gate then gets no gradient, and routing stays the random partition of its initialisation.
    """

    def __init__(self, d_in: int, d_out: int, experts: int, trained: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(experts, d_in, d_out))
        self.gate = nn.Linear(d_in, experts, bias=False)
        self.trained, self.balance = trained, torch.zeros(())
        for expert in self.weight:
            nn.init.xavier_normal_(expert, nn.init.calculate_gain("relu"))

    def forward(self, x: Tensor) -> Tensor:
        """x: (N, F). Returns (N, out), and stores the load-balance term of this call in `balance`."""
        shares = self.gate(x).softmax(1)
        top, chosen = shares.max(1)
        out = x.new_zeros(x.shape[0], self.weight.shape[2])
        for number, weight in enumerate(self.weight):
            rows = (chosen == number).nonzero().squeeze(1)
            out = out.index_copy(0, rows, x[rows] @ weight)
        if not self.trained:
            return out
        load = torch.bincount(chosen, minlength=shares.shape[1]) / max(len(x), 1)
        self.balance = BALANCE * shares.shape[1] * (load * shares.mean(0)).sum()
        return out * top.unsqueeze(1)
