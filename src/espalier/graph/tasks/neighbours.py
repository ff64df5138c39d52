"""k-nearest-neighbour classification of embeddings, and clustering."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from espalier.core.errors import DataError


class Clustered(NamedTuple):
    """Normalised mutual information, adjusted Rand index, accuracy under the best matching of clusters to classes."""

    nmi: float
    ari: float
    accuracy: float


def knn_accuracy(z: Tensor, y: Tensor, splits: Mapping[str, Tensor], k: int = 5, block: int = 4096) -> float:
    """Test accuracy of k-nearest neighbours among the training nodes, weighted by cosine. z: (N, H), y: (N,)."""
    unit = F.normalize(z.float(), dim=1)
    known, labels = unit[splits["train"]], y[splits["train"]]
    tests = splits["test"].nonzero().squeeze(1)
    right = 0
    for part in tests.split(block):
        near = (unit[part] @ known.t()).topk(min(k, labels.numel()), dim=1)
        votes = torch.zeros(part.numel(), int(y.max()) + 1).scatter_add_(1, labels[near.indices], near.values.cpu())
        right += int((votes.argmax(1) == y[part]).sum())
    return right / max(tests.numel(), 1)


def cluster(z: Tensor, y: Tensor, seed: int = 0) -> Clustered:
    """k-means on z (N, H) with as many clusters as y (N,) has classes, the best of ten starts.

    Nodes without a label are left out of the scores. Raises DataError if there are fewer than two classes.
    """
    from scipy.optimize import linear_sum_assignment
    from sklearn.cluster import KMeans
    from sklearn.metrics import adjusted_rand_score, confusion_matrix, normalized_mutual_info_score

    known = y.cpu().numpy() >= 0
    truth = y.cpu().numpy()[known]
    classes = np.unique(truth).size
    if classes < 2 or not bool(z.isfinite().all()):
        raise DataError(f"clusters need finite embeddings and labels of two classes or more; there are {classes}")
    found = KMeans(classes, n_init=10, random_state=seed).fit_predict(z.float().cpu().numpy())[known]
    table = confusion_matrix(np.unique(truth, return_inverse=True)[1], found)
    rows, columns = linear_sum_assignment(-table)
    return Clustered(
        float(normalized_mutual_info_score(truth, found)),
        float(adjusted_rand_score(truth, found)),
        float(table[rows, columns].sum() / truth.size),
    )
