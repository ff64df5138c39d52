"""Link prediction: hold edges out, and rank them against pairs of nodes without an edge."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from espalier.core.errors import DataError
from espalier.core.seed import np_rng
from espalier.graph.data.graph import Graph, symmetric


class Links(NamedTuple):
    """graph: with the training edges only. The others: (2, k) int64 node pairs, equally many edges and non-edges."""

    graph: Graph
    train: Tensor
    val: Tensor
    val_not: Tensor
    test: Tensor
    test_not: Tensor


class Ranked(NamedTuple):
    """Area under the ROC curve and average precision."""

    auc: float
    ap: float


def split_links(graph: Graph, seed: int, val: float = 0.05, test: float = 0.1) -> Links:
    """Hold out shares of the undirected edges; the rest is for training. Source: Kipf and Welling 2016. Raises
    DataError if a part is empty.
    """
    if not (val > 0.0 and test > 0.0 and val + test < 1.0):
        raise DataError(f"{graph.name}: shares of {val} and {test} of its edges cannot be held out")
    rng = np_rng(seed, "links", graph.name)
    upper = graph.adj.rows < graph.adj.columns
    edges = torch.stack([graph.adj.rows[upper], graph.adj.columns[upper]])
    edges = edges[:, torch.from_numpy(rng.permutation(edges.shape[1]))]
    n_val, n_test = round(val * edges.shape[1]), round(test * edges.shape[1])
    if n_val < 1 or n_test < 1:
        raise DataError(f"{graph.name}: {edges.shape[1]} edges are too few to hold out {val:.0%} and {test:.0%}")
    held, train = edges[:, : n_val + n_test], edges[:, n_val + n_test :]
    absent = _not_edges(graph, n_val + n_test, rng)
    adj = symmetric(train[0], train[1], graph.n_nodes, graph.name)
    visible = replace(graph, adj=adj)
    return Links(visible, train, held[:, :n_val], absent[:, :n_val], held[:, n_val:], absent[:, n_val:])


def rank_links(z: Tensor, edges: Tensor, absent: Tensor) -> Ranked:
    """Pairs scored by the inner products of their embeddings z (N, H). edges, absent: (2, k)."""
    from sklearn.metrics import average_precision_score, roc_auc_score

    pairs = torch.cat([edges, absent], 1)
    scores = (z[pairs[0]] * z[pairs[1]]).sum(1).double().cpu().numpy()
    real = np.repeat([1, 0], [edges.shape[1], absent.shape[1]])
    return Ranked(float(roc_auc_score(real, scores)), float(average_precision_score(real, scores)))


def probe_links(z: Tensor, links: Links, seed: int) -> Ranked:
    """Pairs scored by a logistic regression on the products of their standardised embeddings, fitted to training edges
    and as many random pairs. For embeddings that were not trained with inner products.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import average_precision_score, roc_auc_score

    z = (z - z.mean(0)) / z.std(0).clamp(min=1e-9)
    absent = _not_edges(links.graph, links.train.shape[1], np_rng(seed, "probe links"))

    def features(*pairs: Tensor) -> Any:
        both = torch.cat(pairs, 1)
        return (z[both[0]] * z[both[1]]).float().cpu().numpy()

    model = LogisticRegression(max_iter=500).fit(
        features(links.train, absent), np.repeat([1, 0], [links.train.shape[1], absent.shape[1]])
    )
    scores = model.decision_function(features(links.test, links.test_not))
    real = np.repeat([1, 0], [links.test.shape[1], links.test_not.shape[1]])
    return Ranked(float(roc_auc_score(real, scores)), float(average_precision_score(real, scores)))


def _not_edges(graph: Graph, number: int, rng: np.random.Generator) -> Tensor:
    n = graph.n_nodes
    known = set((graph.adj.rows * n + graph.adj.columns).tolist())
    if n * (n - 1) - len(known) < 4 * number:
        raise DataError(f"{graph.name} is too dense to draw {number} pairs that are no edges")
    found: dict[tuple[int, int], None] = {}
    while len(found) < number:
        for i, j in rng.integers(n, size=(2 * number, 2)).tolist():
            if i < j and i * n + j not in known and len(found) < number:
                found[i, j] = None
    return torch.tensor(list(found), dtype=torch.int64).t().contiguous()
