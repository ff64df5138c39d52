"""Gaussian smoothing that does not leak from, or into, what is not known."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import gaussian_filter

Array = npt.NDArray[np.floating]
REACH = 3.0
"""Standard deviations that are looked at."""


def smooth(layer: Array, sigma_cells: float) -> Array:
    """A (rows, cols) layer averaged over its neighbourhood by exp(-d^2 / 2 sigma^2), with weights that sum to 1 over
    the cells that are known. NaN stays NaN. Source: FSGP-BGK (arXiv 2503.04134), step 7; the normalisation is ours.
    """
    if sigma_cells <= 0.0:
        return layer
    known = np.isfinite(layer)
    filled = np.where(known, layer, 0.0)
    total, weight = (
        gaussian_filter(one.astype(np.float64), sigma_cells, mode="constant", truncate=REACH) for one in (filled, known)
    )
    return np.where(known, total / np.maximum(weight, 1e-12), np.nan).astype(layer.dtype)
