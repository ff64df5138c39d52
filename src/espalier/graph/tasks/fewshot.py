"""Few-shot classification without training: the class prototype with the highest cosine is predicted."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from espalier.core.errors import DataError
from espalier.core.seed import np_rng


def few_shot(
    z: Tensor, y: Tensor, *, ways: int = 5, shots: int = 5, queries: int = 20, episodes: int = 500, seed: int = 0
) -> Tensor:
    """(episodes,) accuracies. Each episode draws `ways` classes, and `shots` examples and `queries` queries of each.

    z: (n, H) embeddings of nodes, or of edges (head and tail concatenated). y: (n,) classes, -1 unknown. Classes with
    fewer than shots + queries examples are left out. Source: GraphAlign, section 5.
    """
    rng = np_rng(seed, "episodes", ways, shots)
    unit, labels = F.normalize(z.float(), dim=1), y.cpu().numpy()
    members = [np.flatnonzero(labels == label) for label in range(int(labels.max()) + 1)]
    members = [nodes for nodes in members if nodes.size >= shots + queries]
    if len(members) < ways:
        raise DataError(f"few-shot: {len(members)} classes have {shots + queries} examples, but {ways} are needed")
    out = torch.empty(episodes)
    truth = torch.arange(ways).repeat_interleave(queries)
    for episode in range(episodes):
        classes = rng.choice(len(members), ways, replace=False)
        drawn = np.stack([rng.choice(members[c], shots + queries, replace=False) for c in classes])
        rows = torch.from_numpy(drawn)
        prototypes = F.normalize(unit[rows[:, :shots]].mean(1), dim=1)
        scores = unit[rows[:, shots:].reshape(-1)] @ prototypes.t()
        out[episode] = (scores.argmax(1).cpu() == truth).float().mean()
    return out
