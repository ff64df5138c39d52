"""How well a formation was kept, and how safely."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist

from espalier.robots.swarm.fleet.recording import Recording
from espalier.robots.swarm.register.similarity import Freedom
from espalier.robots.swarm.register.umeyama import umeyama

Floats = npt.NDArray[np.float64]
FREE = Freedom(yaw_only=False, scale=(0.2, 5.0))
TOUCH_M = 0.3
"""Vehicles whose middles come nearer than this have touched."""
SQUASHED = np.array([1.0, 1.0, 0.5])
"""A metre of height counts half: vehicles blow downwards."""
NEAR_M = 1.5
"""Pairs farther apart than this at a look are not looked at until the next: nobody flies half of this between two."""


class Series(NamedTuple):
    """By look, (t,). error: mean distance of healthy vehicles to the best fitting similar formation, over its diameter.
    misfit: the sum of their distances to it, over its diameter, where it is they that are moved onto it. separation:
    least distance of two vehicles, not both of them struck, from this look to the next. clearance: least distance of a
    vehicle that is not struck to an obstacle.

    Source: `misfit` is the integrand of RE-Formation's error (T-ASE 2025); the others are ours.
    """

    error: Floats
    misfit: Floats
    separation: Floats
    clearance: Floats


def measure(recording: Recording) -> Series:
    """Everything that is measured look by look."""
    return Series(*formation_errors(recording), separations(recording), clearances(recording))


def formation_errors(recording: Recording) -> tuple[Floats, Floats]:
    """`error` and `misfit` of a `Series`; NaN where no two healthy vehicles hold a slot."""
    error, misfit = np.full((2, len(recording.times)), np.nan)
    wide = [float(pdist(one).max()) if len(one) > 1 else np.nan for one in recording.formations]
    for looks, members, slots in recording.groups(recording.healthy):
        if len(slots) < 2:
            continue
        across, there = wide[recording.act[looks[0]]], recording.positions[np.ix_(looks, members)]
        wanted = np.broadcast_to(slots, there.shape)
        off = umeyama(slots, there, freedom=FREE).apply(slots) - there
        back = umeyama(there, wanted, freedom=FREE).apply(there) - wanted
        error[looks] = np.linalg.norm(off, axis=2).mean(1) / across
        misfit[looks] = np.linalg.norm(back, axis=2).sum(1) / across
    return error, misfit


def separations(recording: Recording) -> Floats:
    """`separation` of a `Series`: of pairs that fly straight on from look to look, but for those of which both are
    struck; infinite where there is none.
    """
    found = np.full(len(recording.times), np.inf)
    for k, positions in enumerate(recording.positions):
        after = recording.positions[min(k + 1, len(found) - 1)]
        there = np.isfinite(positions[:, 0]) & np.isfinite(after[:, 0])
        begin, end, able = positions[there] * SQUASHED, after[there] * SQUASHED, ~recording.struck[k, there]
        if not able.any() or len(begin) < 2:
            continue
        pairs = cKDTree(begin).query_pairs(NEAR_M, output_type="ndarray")
        pairs = pairs[able[pairs].any(1)]
        if len(pairs):
            apart, change = np.subtract(*begin[pairs.T]), np.subtract(*(end - begin)[pairs.T])
            square = np.maximum((change**2).sum(1), 1e-12)
            share = np.clip(-(apart * change).sum(1) / square, 0.0, 1.0)
            found[k] = np.linalg.norm(apart + share[:, None] * change, axis=1).min()
        else:
            found[k] = cKDTree(begin).query(begin[able], k=2)[0][:, 1].min()
    return found


def clearances(recording: Recording) -> Floats:
    """`clearance` of a `Series`, exact where the solids are known; of vehicles that are not struck then."""
    there = np.where(np.isfinite(recording.positions), recording.positions, 1e6)
    distance = recording.world.distance(there.reshape(-1, 3)).reshape(there.shape[:2])
    able = np.isfinite(recording.positions[..., 0]) & ~recording.struck
    return np.where(able, distance, np.inf).min(1, initial=np.inf)
