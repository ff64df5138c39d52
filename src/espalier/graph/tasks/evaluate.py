"""Evaluates embeddings: one function for all kinds of evaluation."""

from __future__ import annotations

from torch import Tensor

from espalier.graph.data.graph import Graph
from espalier.graph.tasks.config import (
    AnyEvaluation,
    ClusterConfig,
    FewShotConfig,
    KNNConfig,
    LinearConfig,
    LinkConfig,
    LogisticConfig,
    OwnConfig,
    SVMConfig,
)
from espalier.graph.tasks.fewshot import few_shot
from espalier.graph.tasks.links import Links, probe_links, rank_links
from espalier.graph.tasks.logistic import logistic_probe
from espalier.graph.tasks.neighbours import cluster, knn_accuracy
from espalier.graph.tasks.probe import Probed, linear_probe
from espalier.graph.tasks.svm import svm_accuracy


def judge(how: AnyEvaluation, z: Tensor, graph: Graph, seed: int, links: Links | None = None) -> dict[str, float]:
    """The results for `how`, `score` first. z: (N, H) of nodes or (G, H) of graphs, in the order of the labels.

    Raises ValueError for the method's own classifier, which does not use embeddings.
    """
    if isinstance(how, LinkConfig):
        assert links is not None
        dot, probe = rank_links(z, links.test, links.test_not), probe_links(z, links, seed)
        return {"score": dot.auc, "ap": dot.ap, "probe_auc": probe.auc, "probe_ap": probe.ap}
    y = graph.y
    assert y is not None
    match how:
        case LinearConfig():
            found = linear_probe(
                z, y, graph.splits, lr=how.lr, weight_decay=how.weight_decay, epochs=how.epochs, seed=seed
            )
            return _probed(found, found.early if how.select == "early" else found.final)
        case LogisticConfig():
            found = logistic_probe(z, y, graph.splits)
            return _probed(found, found.early)
        case SVMConfig():
            return {"score": svm_accuracy(z, y)}
        case KNNConfig():
            return {"score": knn_accuracy(z, y, graph.splits, how.k)}
        case ClusterConfig():
            groups = cluster(z, y, seed)
            return {"score": groups.nmi, "ari": groups.ari, "accuracy": groups.accuracy}
        case FewShotConfig():
            hits = few_shot(z, y, ways=how.ways, shots=how.shots, queries=how.queries, episodes=how.episodes, seed=seed)
            return {"score": float(hits.mean()), "episodes_std": float(hits.std(correction=0))}
        case OwnConfig():
            raise ValueError("the method's own classifier does not use embeddings")


def _probed(found: Probed, score: float) -> dict[str, float]:
    return {"score": score, "final": found.final, "early": found.early, "val": found.val}
