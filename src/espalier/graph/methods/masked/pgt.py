"""PGT: pre-trained graph transformers over PageRank contexts (after Hou et al., arXiv 2407.03953; details ours)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from espalier.graph.data.graph import Graph
from espalier.graph.methods.api import Method
from espalier.graph.methods.masked.config import PGTConfig
from espalier.graph.methods.masked.cosine import projected_cosine, sce
from espalier.graph.methods.masked.sequences import Sequences
from espalier.graph.nn.transformer import TransformerLayer
from espalier.graph.ops.csr import Features
from espalier.graph.ops.features import dense, project, take_rows


class PGT(Method):
    """A masked auto-encoder on sequences of nodes. The encoder gets only the unmasked nodes of a context. The decoder
    gets their codes, with a mask token for the other nodes, and reconstructs features and local structure. The decoder
    is kept: at inference its reconstruction augments the features.
    """

    def __init__(self, config: PGTConfig, n_features: int) -> None:
        super().__init__()
        self.config, width = config, config.hidden
        self.into = nn.Linear(n_features, width)
        self.encoder = nn.ModuleList(_layer(config) for _ in range(config.layers))
        self.decoder = nn.ModuleList(_layer(config) for _ in range(config.decoder_layers))
        self.code_norm, self.decoded_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.mask_token = nn.Parameter(torch.randn(width) * 0.02)
        self.rank = nn.Parameter(torch.randn(config.max_context, width) * 0.02 * (config.position == "rank"))
        self.slope, self.adjacent = nn.Parameter(torch.full((), 0.1)), nn.Parameter(torch.full((), 2.0))
        self.out = nn.Linear(width, n_features)
        self.similarity = nn.Linear(width, width)

    def loss(self, graph: Graph) -> Tensor:
        """Feature reconstruction at the masked places, and structure reconstruction everywhere."""
        config = self.config
        places = Sequences.of(graph)
        tokens, bias = self._tokens(places, graph.x), self._bias(places, graph)
        masked = places.draw(config.mask_rate)
        codes = self._encode_visible(tokens, bias, places.real & ~masked)
        decoded = self._decode(torch.where(masked.unsqueeze(-1), self.mask_token.to(codes.dtype), codes), bias)
        hidden = places.flat(masked).nonzero().squeeze(1)
        h = places.flat(decoded)[hidden]
        gap = projected_cosine(h, self.out.weight.t(), self.out.bias, take_rows(graph.x, hidden))
        loss = sce(gap, config.alpha)
        if config.structure == 0.0 or graph.adj.nnz == 0:
            return loss
        return loss + config.structure * self._structure(decoded, places, graph)

    def encode(self, graph: Graph) -> Tensor:
        """(N, H) codes of the nodes of concatenated contexts; uses the decoder if configured."""
        places = Sequences.of(graph)
        bias, x = self._bias(places, graph), graph.x
        codes = self._encode_all(self._tokens(places, x), bias)
        if self.config.reuse_decoder:
            rebuilt = self.out(places.flat(self._decode(codes, bias)))
            x = dense(x)
            rebuilt = rebuilt * (x.norm(dim=1, keepdim=True) / rebuilt.norm(dim=1, keepdim=True).clamp(min=1e-12))
            codes = self._encode_all(self._tokens(places, 0.5 * (x + rebuilt)), bias)
        return places.flat(codes)

    def _tokens(self, places: Sequences, x: Features) -> Tensor:
        tokens = places.padded(project(x, self.into.weight.t()) + self.into.bias)
        return tokens + self.rank[: tokens.shape[1]] if self.config.position == "rank" else tokens

    def _bias(self, places: Sequences, graph: Graph) -> Tensor:
        """(B, L, L) added to attention logits, query by key: a learned bonus where they are neighbours, a multiple of
        the key's log PageRank, and -inf where the key is not real.
        """
        length = places.real.shape[1]
        bias = torch.zeros(len(places.real), length, length, device=places.real.device)
        if self.config.neighbours:
            csr = graph.adj
            edges = places.row[csr.rows], places.place[csr.rows], places.place[csr.columns]
            bias = bias.index_put(edges, self.adjacent.expand(csr.nnz))
        if self.config.position == "ppr" and graph.scores is not None:
            bias = bias + self.slope * places.padded(graph.scores.clamp(min=1e-8).log()).unsqueeze(1)
        return bias.masked_fill(~places.real.unsqueeze(1), float("-inf"))

    def _encode_visible(self, tokens: Tensor, bias: Tensor, visible: Tensor) -> Tensor:
        """Codes of the visible places (B, L, H); other places are zero. Only visible places are computed."""
        length = int(visible.sum(1).max())
        order = torch.argsort(visible.long(), dim=1, descending=True, stable=True)[:, :length]
        index = order.unsqueeze(-1).expand(-1, -1, tokens.shape[2])
        seen = visible.gather(1, order)
        rows = bias.gather(1, order.unsqueeze(-1).expand(-1, -1, bias.shape[2]))
        among = rows.gather(2, order.unsqueeze(1).expand(-1, length, -1))
        among = among.masked_fill(~seen.unsqueeze(1), float("-inf"))
        short = self._encode_all(tokens.gather(1, index), among) * seen.unsqueeze(-1)
        return short.new_zeros(tokens.shape).scatter(1, index, short)

    def _encode_all(self, x: Tensor, bias: Tensor) -> Tensor:
        for layer in self.encoder:
            x = layer(x, bias)
        return self.code_norm(x)

    def _decode(self, x: Tensor, bias: Tensor) -> Tensor:
        for layer in self.decoder:
            x = layer(x, bias)
        return self.decoded_norm(x)

    def _structure(self, decoded: Tensor, places: Sequences, graph: Graph) -> Tensor:
        """Each edge (u, v) of a context against all (u, w): -log softmax of similarities over the other members."""
        z = F.normalize(self.similarity(decoded), dim=-1)
        logits = z @ z.transpose(1, 2) / self.config.tau
        itself = torch.eye(logits.shape[1], dtype=torch.bool, device=logits.device)
        logits = logits.masked_fill(itself | ~places.real.unsqueeze(1), float("-inf"))
        csr = graph.adj
        row, u, v = places.row[csr.rows], places.place[csr.rows], places.place[csr.columns]
        return -logits.log_softmax(-1)[row, u, v].mean()


def _layer(config: PGTConfig) -> TransformerLayer:
    return TransformerLayer(config.hidden, config.heads, rate=config.dropout)
