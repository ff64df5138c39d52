"""MVGRL: contrastive multi-view representation learning on graphs (Hassani and Khasahmadi, ICML 2020)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from espalier.graph.data.graph import Graph
from espalier.graph.methods.api import Method
from espalier.graph.methods.contrastive.config import MVGRLConfig
from espalier.graph.methods.contrastive.dgi import Bilinear, real_or_not
from espalier.graph.nn.gcn import GCN
from espalier.graph.ops.csr import CSR, Features
from espalier.graph.ops.features import take_rows
from espalier.graph.ops.loops import gcn_weights
from espalier.graph.sampling.ppr import ppr

Weighted = tuple[CSR, Tensor]
"""A graph with (nnz,) weights."""


class MVGRL(Method):
    """Two encoders, one on the graph and one on its diffusion by personalised PageRank. The nodes of each view are
    distinguished from shuffled ones given the summary of the other view. The embedding is the sum of both. Eq. 4-6.
    """

    def __init__(self, config: MVGRLConfig, n_features: int) -> None:
        super().__init__()
        self.config = config
        self.near = GCN(n_features, config.hidden, act="prelu")
        self.far = GCN(n_features, config.hidden, act="prelu")
        self.critic = Bilinear(config.hidden)
        self._diffused: tuple[Graph, Weighted] | None = None

    def loss(self, graph: Graph) -> Tensor:
        """The contrastive loss of the two views: of the whole graph, or of samples of a larger one."""
        config = self.config
        views = ((graph.looped, gcn_weights(graph.looped)), self.diffusion(graph))
        if graph.n_nodes <= config.sample:
            return self._contrast(views, graph.x)
        losses = []
        for _ in range(config.samples):
            nodes = torch.randperm(graph.n_nodes, device=graph.adj.device)[: config.sample].sort().values
            losses.append(self._contrast([_induced(view, nodes) for view in views], take_rows(graph.x, nodes)))
        return torch.stack(losses).mean()

    def encode(self, graph: Graph) -> Tensor:
        """The sum of both encoders."""
        near = self.near(graph.looped, graph.x)
        csr, weights = self.diffusion(graph)
        return near + self.far(csr, graph.x, weights)

    def diffusion(self, graph: Graph) -> Weighted:
        """a (I - (1 - a) D^-1/2 A D^-1/2)^-1 without its small entries, by push; cached for the last graph."""
        if self._diffused is None or self._diffused[0] is not graph:
            config = self.config
            found = ppr(graph.looped, teleport=config.teleport, tolerance=config.tolerance, keep=config.neighbours)
            csr, scores = found.matrix(graph.n_nodes)
            root = graph.looped.degree.to(scores.dtype).sqrt()
            self._diffused = graph, (csr, scores * root[csr.rows] / root[csr.columns])
        return self._diffused[1]

    def _contrast(self, views: Sequence[Weighted], x: Features) -> Tensor:
        order = torch.randperm(x.shape[0], device=x.device)
        (near, near_weights), (far, far_weights) = views
        shuffled = take_rows(x, order)
        first, second = self.near(near, x, near_weights), self.far(far, x, far_weights)
        first_fake, second_fake = self.near(near, shuffled, near_weights), self.far(far, shuffled, far_weights)
        one, two = first.mean(0).sigmoid(), second.mean(0).sigmoid()
        real = torch.cat([self.critic(first, two), self.critic(second, one)])
        return real_or_not(real, torch.cat([self.critic(first_fake, two), self.critic(second_fake, one)]))


def _induced(view: Weighted, nodes: Tensor) -> Weighted:
    csr, weights = view
    place = torch.full((csr.n_cols,), -1, device=nodes.device)
    place[nodes] = torch.arange(nodes.numel(), device=nodes.device)
    rows, position = csr.take(nodes)
    column = place[rows.columns]
    inside = column >= 0
    kept = torch.zeros(rows.nnz + 1, dtype=torch.int64, device=nodes.device)
    torch.cumsum(inside, 0, out=kept[1:])
    pattern = CSR(kept[rows.indptr], column[inside].to(torch.int32), nodes.numel())
    return pattern, weights[position[inside]]
