"""GraphMAE: self-supervised masked graph auto-encoders (Hou et al., KDD 2022)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from espalier.graph.data.graph import Graph
from espalier.graph.methods.api import Method
from espalier.graph.methods.masked.config import Decoder, GraphMAEConfig
from espalier.graph.methods.masked.corrupt import draw_mask
from espalier.graph.methods.masked.cosine import cosine, projected_cosine, sce
from espalier.graph.nn.config import EncoderConfig
from espalier.graph.nn.encoder import Encoder
from espalier.graph.nn.gat import GAT
from espalier.graph.nn.gcn import GCN
from espalier.graph.nn.gin import GIN
from espalier.graph.nn.mlp import Dense
from espalier.graph.ops.csr import CSR
from espalier.graph.ops.dropout import dropout
from espalier.graph.ops.features import Corrupted, dense, take_rows
from espalier.graph.ops.loops import drop_edges, with_loops


class GraphMAE(Method):
    """Mask nodes, encode, mask the same nodes' codes again, decode, and compare with the original features.

    Only what the loss needs is computed: codes of unmasked nodes, reconstructions of masked ones, and for sparse
    features the cosine without the reconstruction. Loss and gradients equal those of the dense model.
    """

    def __init__(self, config: GraphMAEConfig, n_features: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder, n_features)
        width = self.encoder.d_out
        self.token = nn.Parameter(torch.zeros(1, n_features))
        self.bridge = nn.Linear(width, width, bias=False)
        self.decoder = make_decoder(config.decoder, config.encoder, width, n_features)

    def loss(self, graph: Graph) -> Tensor:
        """One masked reconstruction of the graph. Source: GraphMAE, section 3."""
        config = self.config
        mask = draw_mask(graph.n_nodes, config.mask_rate, config.replace_rate, graph.adj.device)
        seen = Corrupted(graph.x, mask.hidden, self.token, mask.shows)
        edges = with_loops(drop_edges(graph.adj, config.drop_edge)) if config.drop_edge else graph.looped
        remask = config.remask and config.decoder not in ("mlp", "linear")
        rows = mask.kept if remask else None
        codes = self.bridge(self.encoder(edges, seen, rows))
        if rows is not None:
            codes = codes.new_zeros(graph.n_nodes, codes.shape[1]).index_copy(0, rows, codes)
        if config.criterion == "mse":
            target = dense(take_rows(graph.x, mask.masked))
            return F.mse_loss(self.decoder(graph.looped, codes)[mask.masked], target)
        cosines = reconstruction_cosine(self.decoder, graph.looped, codes, mask.masked, graph)
        return sce(cosines, config.alpha) + self.encoder.balance()

    def encode(self, graph: Graph) -> Tensor:
        """The encoder on the whole, unmasked graph."""
        return self.encoder(graph.looped, graph.x)


def make_decoder(kind: Decoder, encoder: EncoderConfig, width: int, n_features: int) -> nn.Module:
    """One layer (width to n_features) without outer activation, with the encoder's dropouts."""
    match kind:
        case "gat":
            return GAT(width, n_features, dropout=encoder.dropout, attention_dropout=encoder.attention_dropout)
        case "gcn":
            return GCN(width, n_features, dropout=encoder.dropout)
        case "gin":
            act, norm = encoder.activation, encoder.norm
            return GIN(width, n_features, dropout=encoder.dropout, act=act, norm_name=norm, hidden=width, bare=True)
        case "mlp":
            return _TwoLayers(width, n_features, encoder)
        case "linear":
            return Dense(width, n_features)


def reconstruction_cosine(decoder: nn.Module, csr: CSR, codes: Tensor, masked: Tensor, graph: Graph) -> Tensor:
    """(m,) cosines between the decoded features of the `masked` nodes and the real ones. codes: (N, H)."""
    target = take_rows(graph.x, masked)
    if not isinstance(decoder, GAT):
        return cosine(decoder(csr, codes)[masked], dense(target))
    codes = dropout(codes, decoder.dropout, decoder.training)
    attended = decoder.attended(csr.take(masked)[0], codes, masked).squeeze(1)
    return projected_cosine(attended, decoder.weight, decoder.bias, target)


class _TwoLayers(nn.Module):
    def __init__(self, width: int, n_features: int, encoder: EncoderConfig) -> None:
        super().__init__()
        self.first = Dense(width, width, act=encoder.activation)
        self.second = Dense(width, n_features)

    def forward(self, csr: CSR, x: Tensor) -> Tensor:
        return self.second(csr, self.first(csr, x))
