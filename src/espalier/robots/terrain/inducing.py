"""Which points the Gaussian process is conditioned on, and what lies between them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from espalier.robots.terrain.cloud.voxel import spread, voxel_means
from espalier.robots.terrain.config import FeatureConfig, InducingConfig
from espalier.robots.terrain.features.geometric import Geometry

Floats = npt.NDArray[np.float64]
NEAR_M = 1e-3
"""Added to distances that are divided by."""


class Inducing(NamedTuple):
    """points: (m, 3). geometry: of each. merged: (m,) how many measured points each is the mean of."""

    points: Floats
    geometry: Geometry
    merged: npt.NDArray[np.int64]


def choose(
    points: Floats,
    geometry: Geometry,
    features: FeatureConfig,
    config: InducingConfig,
    rng: np.random.Generator,
) -> Inducing:
    """Features (n_f of n points) stay dense, the rest is averaged over voxels; too many are thinned out evenly.

    Source: FSGP-BGK (arXiv 2503.04134), step 2; averaging instead of choosing, the voxels of features and the even
    thinning are ours.
    """
    rows = np.column_stack([points, *geometry])
    is_feature = (geometry.curvature > features.curvature) | (geometry.step > features.step_m)
    means, merged = _reduced(rows[is_feature], config.key_voxel_m)
    rest, more = _reduced(rows[~is_feature], config.voxel_m)
    means, merged = np.concatenate([means, rest]), np.concatenate([merged, more])
    kept = spread(means, config.count, rng)
    means = means[kept]
    return Inducing(means[:, :3], Geometry(*means[:, 3:].T), merged[kept])


def _reduced(rows: Floats, size_m: float) -> tuple[Floats, npt.NDArray[np.int64]]:
    if not size_m or not len(rows):
        return rows, np.ones(len(rows), np.int64)
    found = voxel_means(rows, size_m)
    return found.means, found.counts


def between(inducing: Inducing, xy: Floats, neighbours: int) -> Geometry:
    """Curvature, step and radius at places (m, 2), by inverse distance from the `neighbours` nearest inducing points.

    Source: FSGP-BGK (arXiv 2503.04134), step 4.
    """
    k = min(neighbours, len(inducing.points))
    distance, found = cKDTree(inducing.points[:, :2]).query(xy, k=k)
    distance, found = distance.reshape(-1, k), found.reshape(-1, k)
    weights = 1.0 / (distance + NEAR_M)
    weights /= weights.sum(1, keepdims=True)
    return Geometry(*(np.einsum("ij,ij->i", weights, values[found]) for values in inducing.geometry))
