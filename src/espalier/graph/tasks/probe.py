"""The linear probe of the citation graphs: a logistic regression on frozen embeddings, trained by Adam."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from espalier.core.errors import ConfigError, DataError
from espalier.graph.random import seeded


class Probed(NamedTuple):
    """Test accuracy: `final` after the last epoch, `early` at the best validation accuracy `val` (the last of ties)."""

    final: float
    early: float
    val: float


def linear_probe(
    z: Tensor,
    y: Tensor,
    splits: Mapping[str, Tensor],
    *,
    lr: float = 0.01,
    weight_decay: float = 1e-4,
    epochs: int = 300,
    seed: int = 0,
) -> Probed:
    """Train one linear layer on z (N, H), full batch, for a fixed number of epochs. y: (N,). splits: masks (N,).

    Source: GraphMAE's protocol; embeddings are not normalised. Raises DataError if z is not finite.
    """
    if epochs < 1:
        raise ConfigError(f"epochs: a probe of {epochs} epochs learns nothing")
    if z.shape[0] != y.shape[0] or not bool(z.isfinite().all()):
        raise DataError(f"embeddings {tuple(z.shape)} for {y.shape[0]} labels: one finite row per node is needed")
    z = z.clone()
    parts = {name: (z[mask], y[mask]) for name, mask in splits.items()}
    with seeded(seed, "probe"):
        layer = nn.Linear(z.shape[1], int(y.max()) + 1).to(z.device)
    optimizer = torch.optim.Adam(layer.parameters(), lr=lr, weight_decay=weight_decay, fused=True)
    final = early = best = 0.0
    for _ in range(epochs):
        loss = F.cross_entropy(layer(parts["train"][0]), parts["train"][1])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            val, final = (_accuracy(layer, *parts[name]) for name in ("val", "test"))
        if val >= best:
            best, early = val, final
    return Probed(final, early, best)


def _accuracy(layer: nn.Module, x: Tensor, y: Tensor) -> float:
    return float((layer(x).argmax(1) == y).double().mean()) if y.numel() else 0.0
