"""Plots embeddings in two dimensions."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
from torch import Tensor

from espalier.core.errors import MissingExtraError
from espalier.core.io.files import temporary

DOTS = 4000
"""Largest number of nodes in a plot; larger graphs are sampled at random."""


def draw_map(z: Tensor, y: Tensor, how: Literal["umap", "tsne"], file: Path) -> None:
    """A PNG of z (N, H), coloured by y (N,). t-SNE is initialised with the principal components, so it is
    reproducible.
    """
    try:
        import matplotlib
        from sklearn.decomposition import PCA

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "matplotlib", "graph") from error
    rows = np.random.default_rng(0).permutation(z.shape[0])[:DOTS]
    x, labels = z.float().cpu().numpy()[rows], y.cpu().numpy()[rows]
    x = PCA(min(50, *x.shape), random_state=0).fit_transform(x)
    flat = _flat(x, how)
    figure, axes = plt.subplots(figsize=(7, 6), dpi=110)
    axes.scatter(*flat.T, c=labels, cmap="tab20" if labels.max() > 9 else "tab10", s=5, linewidths=0)
    axes.set_axis_off()
    with temporary(file, folder=False) as temp:
        figure.savefig(temp, format="png", bbox_inches="tight")
        temp.replace(file)
    plt.close(figure)


def _flat(x: Any, how: Literal["umap", "tsne"]) -> Any:
    if how == "tsne":
        from sklearn.manifold import TSNE

        return TSNE(perplexity=min(30, (len(x) - 1) / 3), init="pca", random_state=0).fit_transform(x)
    try:
        import umap
    except ModuleNotFoundError as error:
        raise MissingExtraError("umap-learn", "umap") from error
    return umap.UMAP(random_state=0, n_jobs=1).fit_transform(x)
