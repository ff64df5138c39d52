"""What was known of a cell meets a new estimate of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from espalier.robots.terrain.config import FusionConfig

Array = npt.NDArray[np.floating]
EPS = 1e-6
"""Added to variances that are divided by, square metres."""


class Weights(NamedTuple):
    """old, new: (rows, cols), their sum is 1. variance: of the result."""

    old: Array
    new: Array
    variance: Array


def blurred(variance: Array, radius_m: Array, config: FusionConfig) -> Array:
    """The variance (rows, cols) to weigh a cell by whose curvature and step come from `radius_m` around it. Ours."""
    return variance * (1.0 + (radius_m / config.blur_m) ** 2) ** 2


def weigh(before: Array, now: Array, age_s: Array, config: FusionConfig) -> Weights:
    """From variances (rows, cols) of what was known `age_s` seconds ago, NaN for nothing, and of the new estimate.

    precision: weights exp(-decay age) / before and 1 / now, so that what was known counts less the older it is; no
    history is ever more certain than a share of the newest estimate, or it could not follow a change; ours. paper:
    FSGP-BGK (arXiv 2503.04134), step 6, as printed: the new estimate weighs 1, the old one hundreds.
    """
    known = np.isfinite(before)
    before, fade = np.where(known, before, 1.0), np.exp(-config.decay_per_s * np.where(known, age_s, 0.0))
    match config.rule:
        case "none":
            old, variance = np.zeros_like(now), now
        case "paper":
            pull = fade / (before + EPS)
            old, variance = pull / (pull + 1.0), (fade * before + now) / (fade + 1.0)
        case "precision":
            a, b = fade / (before + EPS), 1.0 / (now + EPS)
            old, variance = a / (a + b), np.maximum(1.0 / (a + b), config.floor_share * now)
    old = np.where(known, old, 0.0)
    return Weights(old, 1.0 - old, np.where(known, variance, now))


def blend(before: Array, now: Array, weights: Weights) -> Array:
    """The weighted mean of layers (..., rows, cols); what has no weight may be NaN."""
    return np.where(weights.old > 0.0, weights.old * before, 0.0) + weights.new * now
