"""Encoders: a stack of layers of one kind."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

from torch import Tensor, nn

from espalier.graph.nn.config import EncoderConfig
from espalier.graph.nn.edge_transformer import EdgeTransformer
from espalier.graph.nn.gat import GAT
from espalier.graph.nn.gcn import GCN
from espalier.graph.nn.gin import GIN
from espalier.graph.nn.mlp import Dense
from espalier.graph.nn.sage import SAGE
from espalier.graph.ops.csr import CSR
from espalier.graph.ops.features import Input


class Encoder(nn.Module):
    """Computes embeddings (N, out) from a graph and features (N, F)."""

    def __init__(self, config: EncoderConfig, d_in: int) -> None:
        super().__init__()
        self.config, self.d_out = config, config.sizes[-1]
        sizes = (d_in, *config.sizes)
        pairs = list(pairwise(sizes))
        bare = config.model_copy(update={"activation": "none", "norm": "none"})
        configs = [config] * (len(pairs) - 1) + [config if config.last else bare]
        self.layers = nn.ModuleList(
            make_layer(own if k == 0 else own.model_copy(update={"experts": 0}), *pair)
            for k, (own, pair) in enumerate(zip(configs, pairs, strict=True))
        )

    def forward(self, csr: CSR, x: Input, rows: Tensor | None = None) -> Tensor:
        """csr: (N, N) with self-loops. x: (N, F). rows: (k,) int64, the requested nodes, all if None. Returns (k,
        out).
        """
        return self.every(csr, x, rows)[-1]

    def every(self, csr: CSR, x: Input, rows: Tensor | None = None) -> list[Tensor]:
        """The output of each layer; for the last layer, only `rows`."""
        outputs: list[Tensor] = []
        for layer in self.layers[:-1]:
            x = layer(csr, x)
            outputs.append(cast(Tensor, x))
        last = self.layers[-1]
        if rows is None:
            return [*outputs, last(csr, x)]
        if isinstance(last, GAT):
            return [*outputs, last(csr.take(rows)[0], x, rows)]
        return [*outputs, last(csr, x)[rows]]

    def balance(self) -> Tensor | float:
        """The load-balance term of the first layer's experts in the last call; 0 without experts."""
        first = self.layers[0]
        return first.experts.balance if isinstance(first, GAT) and first.experts is not None else 0.0


def make_layer(config: EncoderConfig, d_in: int, d_out: int) -> nn.Module:
    """One layer of the encoder's kind."""
    rate, act, norm = config.dropout, config.activation, config.norm
    match config.kind:
        case "gat":
            attention, residual = config.attention_dropout, config.residual
            return GAT(
                d_in,
                d_out,
                config.heads,
                dropout=rate,
                attention_dropout=attention,
                residual=residual,
                act=act,
                norm_name=norm,
                experts=config.experts,
                trained_gate=config.gate == "trained",
            )
        case "gcn":
            return GCN(d_in, d_out, dropout=rate, act=act, norm_name=norm)
        case "gin":
            return GIN(d_in, d_out, dropout=rate, act=act, norm_name=norm)
        case "sage":
            return SAGE(d_in, d_out, dropout=rate, act=act, norm_name=norm)
        case "mlp":
            return Dense(d_in, d_out, dropout=rate, act=act, norm_name=norm)
        case "transformer":
            return EdgeTransformer(
                d_in,
                d_out,
                config.heads,
                dropout=rate,
                attention_dropout=config.attention_dropout,
                act=act,
                norm_name=norm,
            )
