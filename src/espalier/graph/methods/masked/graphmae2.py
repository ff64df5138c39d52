"""GraphMAE2: a decoding-enhanced masked self-supervised graph learner (Hou et al., WWW 2023)."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from espalier.graph.data.graph import Graph
from espalier.graph.methods.api import Method
from espalier.graph.methods.masked.config import GraphMAE2Config
from espalier.graph.methods.masked.corrupt import draw_mask
from espalier.graph.methods.masked.cosine import cosine, sce
from espalier.graph.methods.masked.graphmae import make_decoder, reconstruction_cosine
from espalier.graph.methods.teacher import follow
from espalier.graph.nn.encoder import Encoder
from espalier.graph.ops.csr import CSR
from espalier.graph.ops.features import Corrupted
from espalier.graph.ops.loops import drop_edges, with_loops


class GraphMAE2(Method):
    """GraphMAE with the decoder's input masked at random several times, and with a teacher's codes of the clean graph
    as a second target: L = sum over views of L_rec + lambda L_latent. Source: GraphMAE2, section 3.
    """

    def __init__(self, config: GraphMAE2Config, n_features: int) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder, n_features)
        width = self.encoder.d_out
        self.token = nn.Parameter(torch.zeros(1, n_features))
        self.remask_token = nn.Parameter(torch.zeros(1, width))
        self.bridge = nn.Linear(width, width, bias=False)
        self.decoder = make_decoder("gat", config.encoder, width, n_features)
        middle = config.projection
        self.projector = nn.Sequential(nn.Linear(width, middle), nn.PReLU(), nn.Linear(middle, width))
        self.predictor = nn.Sequential(nn.PReLU(), nn.Linear(width, width))
        if config.tokens == "xavier":
            for weight in (self.token, self.remask_token):
                nn.init.xavier_normal_(weight)
            nn.init.xavier_normal_(self.bridge.weight, gain=1.414)
        self.teacher = nn.ModuleList([copy.deepcopy(self.encoder), copy.deepcopy(self.projector)]).requires_grad_(False)

    def loss(self, graph: Graph) -> Tensor:
        """Reconstruction of the masked features, and prediction of the teacher's codes at the target nodes."""
        config = self.config
        mask = draw_mask(graph.n_nodes, config.mask_rate, device=graph.adj.device)
        codes = self.encoder(self._view(graph), Corrupted(graph.x, mask.hidden, self.token))
        loss = self._reconstruction(graph, self.bridge(codes), mask.masked) + self.encoder.balance()
        if config.latent == 0.0:
            return loss
        with torch.no_grad():
            encoder, projector = self.teacher
            target = projector(_at(encoder(self._view(graph), graph.x), graph))
        predicted = self.predictor(self.projector(_at(codes, graph)))
        return loss + config.latent * sce(cosine(predicted, target), 1)

    def encode(self, graph: Graph) -> Tensor:
        """The encoder on the whole, unmasked graph."""
        return self.encoder(graph.looped, graph.x)

    def after_step(self, progress: float) -> None:
        """Update the teacher's parameters from the student's."""
        if progress >= self.config.delay:
            follow(self.teacher, nn.ModuleList([self.encoder, self.projector]), self.config.momentum)

    def _reconstruction(self, graph: Graph, codes: Tensor, masked: Tensor) -> Tensor:
        config, n = self.config, graph.n_nodes
        if config.remask == "fixed":
            hidden = codes.index_fill(0, masked, 0.0)
            return sce(reconstruction_cosine(self.decoder, graph.looped, hidden, masked, graph), config.alpha)
        total = codes.new_zeros(())
        for _ in range(config.views):
            again = torch.randperm(n, device=codes.device)[: int(config.remask_rate * n)]
            hidden = codes.index_copy(0, again, self.remask_token.expand(again.numel(), -1).to(codes.dtype))
            total = total + sce(reconstruction_cosine(self.decoder, graph.looped, hidden, masked, graph), config.alpha)
        return total

    def _view(self, graph: Graph) -> CSR:
        rate = self.config.drop_edge
        return with_loops(drop_edges(graph.adj, rate)) if rate else graph.looped


def _at(codes: Tensor, graph: Graph) -> Tensor:
    return codes if graph.targets is None else codes[graph.targets]
