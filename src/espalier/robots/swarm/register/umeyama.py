"""The similarity that brings matched points onto each other with the least sum of squared distances."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from espalier.robots.swarm.register.loops import moments
from espalier.robots.swarm.register.similarity import Flags, Floats, Freedom, Ints, Similarity, nearest_rotation

FLAT = 1e-3
"""Of the whole variance, what a direction must have to count as one (a 32nd of the extent)."""
FREE = Freedom()


def umeyama(
    slots: Floats,
    positions: Floats,
    weights: Floats | Flags | None = None,
    *,
    freedom: Freedom = FREE,
    towards: Floats | None = None,
) -> Similarity:
    """The similarity from slots (..., n, 3) to positions (..., n, 3), one for each of the leading dimensions.

    weights: (..., n), or flags of the points that count; a point with a coordinate that is not finite never does.
    towards: (..., 3, 3), the identity by default. Where points leave the rotation open (a line, or one point), it is
    the one nearest to this; the pull begins where the second direction has less than a 1000th of the variance.

    Source: Umeyama, 1991, eqs. 39-43; with yaw only, the planar case; the pull is ours.
    """
    counts: Floats | Flags = np.ones(slots.shape[-2]) if weights is None else weights
    lead = np.broadcast_shapes(slots.shape[:-2], positions.shape[:-2], counts.shape[:-1])
    total, mean, variance, covariance = moments(
        _batch(slots, lead, 2), _batch(positions, lead, 2), _batch(counts, lead, 1)
    )
    spread = np.sqrt(variance[:, 0] * variance[:, 1])
    known = spread > 0.0
    likeness = np.where(known[:, None, None], covariance / np.where(known, spread, 1.0)[:, None, None], 0.0)
    prior = np.broadcast_to(np.eye(3) if towards is None else towards, (*lead, 3, 3)).reshape(-1, 3, 3)
    turn = (_yaw if freedom.yaw_only else _turn)(likeness, prior)
    extended = variance[:, 0] > 0.0
    trace = (turn.rotation * covariance).sum((-1, -2))
    scale = np.where(extended, trace / np.where(extended, variance[:, 0], 1.0), 1.0).clip(*freedom.scale)
    moved = scale[:, None] * (turn.rotation @ mean[:, 0, :, None])[..., 0]
    translation = np.where(total[:, None] > 0.0, mean[:, 1] - moved, np.nan)
    return Similarity(
        scale.reshape(lead),
        turn.rotation.reshape(*lead, 3, 3),
        translation.reshape(*lead, 3),
        turn.rank.reshape(lead),
        turn.ambiguous.reshape(lead),
    )


def _batch(values: Floats | Flags, lead: tuple[int, ...], own: int) -> Floats:
    """Values (..., *own) as (B, *own), or (1, *own) where they are the same for the whole batch."""
    shape = values.shape[-own:]
    full = np.asarray(values, np.float64)
    if full.ndim > own:
        full = np.broadcast_to(full, (*lead, *shape))
    return np.ascontiguousarray(full).reshape(math.prod(full.shape[:-own]), *shape)


class _Turn(NamedTuple):
    rotation: Floats
    rank: Ints
    ambiguous: Flags


def _turn(likeness: Floats, prior: Floats) -> _Turn:
    u, spread, vt = np.linalg.svd(likeness)
    hand = np.sign(np.linalg.det(u @ vt))
    lacking = np.maximum(FLAT - (spread[:, 1] + hand * spread[:, 2]), 0.0)
    if lacking.any():
        rotation = nearest_rotation(likeness + lacking[:, None, None] * prior)
    else:
        u[..., 2] *= hand[:, None]
        rotation = u @ vt
    return _Turn(rotation, (spread > FLAT).sum(-1), lacking > 0.0)


def _yaw(likeness: Floats, prior: Floats) -> _Turn:
    def parts(matrices: Floats) -> tuple[Floats, Floats]:
        return matrices[:, 0, 0] + matrices[:, 1, 1], matrices[:, 1, 0] - matrices[:, 0, 1]

    c, s = parts(likeness)
    lacking = np.maximum(FLAT - np.hypot(c, s), 0.0)
    prior_c, prior_s = parts(prior)
    angle = np.arctan2(s + lacking * prior_s, c + lacking * prior_c)
    rotation = np.zeros(likeness.shape)
    rotation[:, 0, 0] = rotation[:, 1, 1] = np.cos(angle)
    rotation[:, 1, 0] = np.sin(angle)
    rotation[:, 0, 1] = -rotation[:, 1, 0]
    rotation[:, 2, 2] = 1.0
    rank = (np.linalg.svd(likeness, compute_uv=False) > FLAT).sum(-1)
    return _Turn(rotation, rank, lacking > 0.0)
