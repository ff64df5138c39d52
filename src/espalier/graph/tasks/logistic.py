"""Regularised logistic regression on normalised embeddings: the protocol of the Amazon and Coauthor graphs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from espalier.graph.tasks.probe import Probed

STRENGTHS = tuple(2.0**power for power in range(-10, 11, 2))
"""Values of C, of which one is chosen by validation accuracy."""


def logistic_probe(z: Tensor, y: Tensor, splits: Mapping[str, Tensor]) -> Probed:
    """L2-regularised logistic regression on L2-normalised z (N, H), C chosen on the validation nodes. y: (N,)."""
    from sklearn.linear_model import LogisticRegression

    x = F.normalize(z.float(), dim=1).cpu().numpy()
    labels = y.cpu().numpy()
    rows = {name: mask.cpu().numpy() for name, mask in splits.items()}
    best = Probed(0.0, 0.0, -1.0)
    for c in STRENGTHS:
        model = LogisticRegression(C=c, solver="lbfgs", max_iter=1000).fit(x[rows["train"]], labels[rows["train"]])
        val, test = (float(np.mean(model.predict(x[rows[n]]) == labels[rows[n]])) for n in ("val", "test"))
        if val > best.val:
            best = Probed(test, test, val)
    return best
