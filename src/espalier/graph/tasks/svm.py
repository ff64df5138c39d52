"""Graph classification: a support vector machine on pooled embeddings, ten-fold cross-validation."""

from __future__ import annotations

import warnings

import numpy as np
from torch import Tensor

from espalier.core.errors import DataError
from espalier.graph.data.graph import Graph

STRENGTHS = (1e-3, 1e-2, 0.1, 1.0, 10.0)


def pool(z: Tensor, graph: Graph, how: str) -> Tensor:
    """(G, H) mean, max or sum of the node embeddings z (N, H) of each member graph."""
    index = graph.member.unsqueeze(1).expand_as(z)
    reduce = {"mean": "mean", "max": "amax", "sum": "sum"}[how]
    out = z.new_zeros(graph.n_graphs, z.shape[1])
    return out.scatter_reduce(0, index, z, reduce, include_self=False)


def svm_accuracy(x: Tensor, y: Tensor, folds: int = 10) -> float:
    """Mean accuracy over stratified, shuffled folds (split seed 0) of an RBF SVM whose C is chosen by an inner
    search.

    x: (G, H), not scaled. y: (G,). Source: GraphMAE's protocol. Raises DataError if a class has fewer graphs than
    folds.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import GridSearchCV, StratifiedKFold
    from sklearn.svm import SVC

    features, labels = x.double().cpu().numpy(), y.cpu().numpy()
    sizes = np.unique(labels, return_counts=True)[1]
    if sizes.size < 2 or sizes.min() < folds or not np.isfinite(features).all():
        raise DataError(
            f"{folds} folds need finite embeddings and {folds} graphs of each of two classes or more; "
            f"there are {', '.join(map(str, sizes))}"
        )
    scores = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for train, test in StratifiedKFold(folds, shuffle=True, random_state=0).split(features, labels):
            search = GridSearchCV(SVC(random_state=42), {"C": list(STRENGTHS)}, cv=5, scoring="accuracy")
            search.fit(features[train], labels[train])
            scores.append(np.mean(search.predict(features[test]) == labels[test]))
    return float(np.mean(scores))
