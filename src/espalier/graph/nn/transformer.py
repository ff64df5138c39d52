"""Transformer layers over sequences of nodes (PGT's contexts), and over the nodes of each graph of a batch."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from espalier.graph.ops.dropout import dropout


class TransformerLayer(nn.Module):
    """Pre-norm: x + Attention(LN x), then x + FFN(LN x), GELU of width 4 H. Source: Vaswani et al. 2017, pre-norm form.

    Attention logits may get a bias per query and key.
    """

    def __init__(self, width: int, heads: int, *, rate: float = 0.0, attention_rate: float = 0.0) -> None:
        super().__init__()
        self.heads, self.rate, self.attention_rate = heads, rate, attention_rate
        self.before_attention, self.before_mlp = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """x: (B, L, H). bias: (B, L, L) added to the logits, query by key; -inf hides a key. Returns (B, L, H)."""
        b, length, width = x.shape
        qkv = self.qkv(self.before_attention(x)).view(b, length, 3, self.heads, width // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        mask = bias.to(x.dtype).unsqueeze(1)
        rate = self.attention_rate if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=rate)
        x = x + dropout(self.out(mixed.transpose(1, 2).reshape(b, length, width)), self.rate, self.training)
        return x + dropout(self.mlp(self.before_mlp(x)), self.rate, self.training)
