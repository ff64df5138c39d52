"""SCR: SCR, training graph neural networks with consistency regularization (Zhang et al., 2021), on GAMLP.

GAMLP mixes propagated features X_k = (D^-1 A)^k X by attention over the hops. Its first layer is linear, so it commutes
with the propagation: (A^k X) W_k = A^k (X W_k), which costs a hidden width instead of the features'.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from espalier.graph.data.graph import Graph
from espalier.graph.methods.baselines import Classifier
from espalier.graph.methods.config import SCRConfig
from espalier.graph.methods.teacher import follow
from espalier.graph.ops.csr import CSR
from espalier.graph.ops.dropout import dropout, feature_dropout
from espalier.graph.ops.features import project
from espalier.graph.ops.spmm import spmm


class GAMLP(nn.Module):
    """Graph attention MLP with recursive hop attention (Zhang et al., KDD 2022)."""

    def __init__(self, config: SCRConfig, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.config, width, hops = config, config.hidden, config.hops + 1
        self.first = nn.Linear(n_features, (hops + 1) * width, bias=False)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(hops))
        self.second = nn.ModuleList(nn.Linear(width, width) for _ in range(hops))
        self.gate = nn.Linear(2 * width, 1)
        self.hidden, self.out = nn.Linear(width, width), nn.Linear(width, n_classes)
        self.labels = nn.Sequential(nn.Linear(n_classes, width), nn.PReLU(), nn.Linear(width, n_classes))
        self.acts = nn.ModuleList(nn.PReLU() for _ in range(3))

    def forward(self, graph: Graph, labels: Tensor | None) -> Tensor:
        """(N, C) logits. labels: (N, C) propagated training labels, or None."""
        config = self.config
        x = feature_dropout(graph.x, config.input_dropout, self.training)
        skip, *projected = project(x, self.first.weight.t()).split(config.hidden, 1)
        hops = []
        walk = graph.looped
        for k, z in enumerate(_propagated(walk, projected)):
            h = self.acts[0](self.norms[k](z))
            hops.append(self.second[k](dropout(h, config.dropout, self.training)))
        mixed = self._attended(hops) + skip
        mixed = dropout(self.acts[1](mixed), config.dropout, self.training)
        mixed = dropout(self.acts[2](self.hidden(mixed) + mixed), config.dropout, self.training)
        logits: Tensor = self.out(mixed)
        return logits if labels is None else logits + self.labels(labels)

    def _attended(self, hops: list[Tensor]) -> Tensor:
        """The hops' weighted sum; a hop's score comes from it and the weighted sum of those before it."""
        scores = [F.leaky_relu(self.gate(torch.cat([hops[0], hops[0]], 1)), 0.2)]
        for k in range(1, len(hops)):
            history = _weighted(hops[:k], torch.softmax(torch.cat(scores, 1), 1))
            scores.append(F.leaky_relu(self.gate(torch.cat([history, hops[k]], 1)), 0.2))
        weights = torch.softmax(torch.cat(scores, 1), 1)
        return _weighted(hops, dropout(weights, self.config.attention_dropout, self.training))


class SCR(Classifier):
    """SCR: cross-entropy on labelled nodes, and consistency on unlabelled nodes with a confident prediction. The
    consistency loss compares two predictions under different dropout: the student's, and the sharpened one of a
    teacher.
    """

    def __init__(self, config: SCRConfig, n_features: int, n_classes: int) -> None:
        super().__init__()
        self.config, self.n_classes = config, n_classes
        self.student = GAMLP(config, n_features, n_classes)
        self.teacher = copy.deepcopy(self.student).requires_grad_(False) if config.momentum else None
        self.steps, self.progress = 0, 0.0
        self.chosen: Tensor | None = None

    def loss(self, graph: Graph) -> Tensor:
        """Supervised and, after the warm-up, consistency loss."""
        config = self.config
        assert graph.y is not None
        train = graph.splits["train"]
        logits = self.student(graph, self._labels(graph))
        loss = F.cross_entropy(logits[train], graph.y[train])
        if config.consistency == 0.0 or self.progress < config.warm_up:
            return loss
        if self.chosen is None or self.steps % config.gap == 0:
            self.chosen = self._confident(graph)
        if not bool(self.chosen.any()):
            return loss
        with torch.no_grad():
            teacher = (self.teacher or self.student)(graph, self._labels(graph))[self.chosen]
        return loss + config.consistency * consistency(logits[self.chosen], teacher, config)

    def logits(self, graph: Graph) -> Tensor:
        """(N, C) class scores, those of the teacher if there is one."""
        network = self.teacher if self.teacher is not None and not self.training else self.student
        scores: Tensor = network(graph, self._labels(graph))
        return scores

    def encode(self, graph: Graph) -> Tensor:
        """Class probabilities: SCR is a classifier."""
        return self.logits(graph).softmax(1)

    def after_step(self, progress: float) -> None:
        """Update the teacher, faster at first."""
        self.steps, self.progress = self.steps + 1, progress
        if self.teacher is not None:
            follow(self.teacher, self.student, min(1.0 - 1.0 / (self.steps + 1), self.config.momentum))

    def get_extra_state(self) -> dict[str, Any]:
        """The state that a checkpoint needs beyond the weights."""
        return {"steps": self.steps, "progress": self.progress, "chosen": self.chosen}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Restore the state of `get_extra_state`."""
        self.steps, self.progress, self.chosen = state["steps"], state["progress"], state["chosen"]

    def _confident(self, graph: Graph) -> Tensor:
        config = self.config
        threshold = config.top + (config.down - config.top) * self.progress
        self.eval()
        with torch.no_grad():
            sure = self.logits(graph).softmax(1).max(1).values > threshold
        self.train()
        return sure & ~graph.splits["train"]

    def _labels(self, graph: Graph) -> Tensor | None:
        if self.config.label_hops == 0:
            return None
        assert graph.y is not None
        known = F.one_hot(graph.y.clamp(min=0), self.n_classes).float() * graph.splits["train"].unsqueeze(1)
        for _ in range(self.config.label_hops):
            known = _walk(graph.looped, known)
        return known


def consistency(student: Tensor, teacher: Tensor, config: SCRConfig) -> Tensor:
    """Distance of the student's prediction from the teacher's, sharpened: p^(1/T) / sum. Both: (n, C) logits."""
    sharp = F.log_softmax(teacher / config.temperature, 1)
    own = F.log_softmax(student, 1)
    if config.distance == "kl":  # KL(student || sharpened teacher), the student first
        return (own.exp() * (own - sharp)).sum(1).mean()
    return (own.exp() - sharp.exp()).square().sum(1).mean()


def _propagated(csr: CSR, projected: list[Tensor]) -> list[Tensor]:
    """projected[k] propagated k times; the hops still to go are propagated together."""
    out, rest = [projected[0]], projected[1:]
    while rest:
        moved = _walk(csr, torch.cat(rest, 1)).split(projected[0].shape[1], 1)
        out.append(moved[0])
        rest = list(moved[1:])
    return out


def _walk(csr: CSR, x: Tensor) -> Tensor:
    """D^-1 A x."""
    return spmm(csr, x) / csr.degree.clamp(min=1).unsqueeze(1)


def _weighted(hops: list[Tensor], weights: Tensor) -> Tensor:
    return torch.stack([weights[:, k : k + 1] * hop for k, hop in enumerate(hops)]).sum(0)
