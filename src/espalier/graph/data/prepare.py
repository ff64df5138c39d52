"""Feature normalisation, as in the published protocols, and as fitted to one graph."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, get_args

import torch
from torch import Tensor

from espalier.core.errors import DataError
from espalier.graph.ops.csr import Features, SparseMatrix

if TYPE_CHECKING:
    from espalier.graph.data.graph import Graph

Normalise = Literal["row", "standard", "none"]


@dataclass(frozen=True, eq=False)
class Scaling:
    """How features are scaled.

    row: each row divided by its sum; zero rows are unchanged. standard: each column minus `mean`, divided by
    `deviation` (F,), those of the graph that it was fitted to; the result is dense.
    """

    how: Normalise = "none"
    mean: Tensor | None = None
    deviation: Tensor | None = None

    def __post_init__(self) -> None:
        fitted = self.mean is not None and self.deviation is not None
        if self.how not in get_args(Normalise) or fitted != (self.how == "standard"):
            raise ValueError(f"{self.how!r} is no scaling with{'' if fitted else 'out'} mean and deviation")

    @classmethod
    def fitted(cls, x: Features, how: Normalise) -> Scaling:
        """Fitted to features x (N, F). Columns without variance are only centred."""
        if how != "standard":
            return cls(how)
        whole = x.dense() if isinstance(x, SparseMatrix) else x
        deviation = whole.std(0, correction=0)
        return cls(how, whole.mean(0), torch.where(deviation > 0, deviation, 1.0))

    def __call__(self, x: Features) -> Features:
        """The features x (N, F), scaled."""
        if self.how == "none":
            return x
        if self.mean is not None and self.deviation is not None:
            return ((x.dense() if isinstance(x, SparseMatrix) else x) - self.mean) / self.deviation
        if isinstance(x, SparseMatrix):
            total = torch.zeros(x.shape[0]).index_add_(0, x.csr.rows, x.values)
            factor = torch.where(total > 0, 1.0 / total, 0.0)
            return SparseMatrix(x.csr, x.values * factor[x.csr.rows])
        total = x.sum(1, keepdim=True)
        return x * torch.where(total > 0, 1.0 / total, 0.0)


def normalised(graph: Graph, how: Normalise) -> Graph:
    """The graph scaled by `how`, fitted to itself. Errors as in `scaled`."""
    return scaled(graph, Scaling.fitted(graph.x, how))


def scaled(graph: Graph, scaling: Scaling) -> Graph:
    """The graph with its features scaled; unchanged if they are already scaled this way. Raises DataError if they were
    scaled in another way.
    """
    if graph.scaling.how == scaling.how:
        return graph
    if graph.scaling.how != "none":
        raise DataError(
            f"{graph.name}: its features are scaled by {graph.scaling.how!r}, but {scaling.how!r} is wanted: "
            'take them unscaled, graph.load(..., normalise="none")'
        )
    return replace(graph, x=scaling(graph.x), scaling=scaling)
