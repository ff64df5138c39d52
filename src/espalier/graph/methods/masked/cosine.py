"""The scaled cosine error, and the cosine to sparse features without forming the reconstruction."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from espalier.graph.ops.csr import Features, SparseMatrix
from espalier.graph.ops.spmm import matmul

EPSILON = 1e-12


def sce(cosine: Tensor, alpha: float) -> Tensor:
    """Mean of (1 - cosine)^alpha; alpha > 1 lowers the weight of easy nodes. Source: GraphMAE, eq. 2."""
    gap = (1.0 - cosine).clamp(min=0.0)
    return (gap if alpha == 1 else gap.pow(alpha)).mean()


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """(n,) cosines of the rows of a and b (n, F); 0 where a row is zero."""
    return (F.normalize(a, dim=1, eps=EPSILON) * F.normalize(b, dim=1, eps=EPSILON)).sum(1)


def projected_cosine(h: Tensor, weight: Tensor, bias: Tensor, target: Features) -> Tensor:
    """(n,) cosines of the rows of h @ weight + bias and of `target` (n, F). h: (n, H), weight: (H, F), bias: (F,).

    For a sparse target, no array of size n x F is formed: with x the target's row, x . (h W + b) = h . (W x) + b . x,
    and |h W + b|^2 = h (W W^T) h^T + 2 h . (W b) + b . b. Source: ours.
    """
    if not isinstance(target, SparseMatrix):
        return cosine(h @ weight + bias, target)
    dot = (matmul(target, weight.t()) * h).sum(1) + matmul(target, bias.unsqueeze(1)).squeeze(1)
    square = ((h @ (weight @ weight.t())) * h).sum(1) + 2.0 * (h @ (weight @ bias)) + bias @ bias
    length = torch.zeros(target.shape[0], device=h.device, dtype=h.dtype)
    length = length.index_add(0, target.csr.rows, target.values.to(h.dtype).square()).sqrt()
    return dot / (square.clamp(min=EPSILON**2).sqrt() * length.clamp(min=EPSILON))
