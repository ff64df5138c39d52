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
from espalier.robots.swarm.traj.config import VEHICLE_M

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]
FREE = Freedom(yaw_only=False, scale=(0.2, 5.0))
SQUASHED = np.array([1.0, 1.0, 0.5])
"""A metre of height counts half: vehicles blow downwards."""
NEAR_M = 1.5
"""Pairs farther apart than this at a look are not looked at until the next: nobody flies half of this between two."""


class Shape(NamedTuple):
    """By look, (t,), of the similar formation that fits the healthy vehicles best. error: their mean distance to it,
    over the formation's diameter, or the one that it has shrunk to. misfit: the sum of their distances to it, over its
    diameter, where it is they that are moved onto it. scale: its size, over that of the formation. off: (t, n) metres
    of each vehicle from its own place in it; NaN without one.

    Source: `misfit` is the integrand of RE-Formation's error (T-ASE 2025); the others are ours.
    """

    error: Floats
    misfit: Floats
    scale: Floats
    off: Floats


class Safety(NamedTuple):
    """By look, (t,). separation: least distance of two vehicles, height counting half, from this look to the next.
    clearance: least distance of a vehicle's middle to an obstacle; altitude: to the ground. All are of vehicles that
    steer, the first to any other. touches: whether any of them touches something. adrift_touches: whether those that
    cannot steer touch the ground, obstacles or each other.
    """

    separation: Floats
    clearance: Floats
    altitude: Floats
    touches: Flags
    adrift_touches: Flags


class Series(NamedTuple):
    """Everything that is measured look by look."""

    shape: Shape
    safety: Safety


def measure(recording: Recording) -> Series:
    """How well the formation was kept, and how safely."""
    return Series(shape(recording), safety(recording))


def shape(recording: Recording) -> Shape:
    """How well the formation was kept; NaN where no two healthy vehicles hold a slot."""
    steps, n = recording.slot.shape
    error, misfit, scale = np.full((3, steps), np.nan)
    off = np.full((steps, n), np.nan)
    wide = [float(pdist(one).max()) if len(one) > 1 else np.nan for one in recording.formations]
    for looks, members, slots in recording.groups(recording.healthy):
        if len(slots) < 2:
            continue
        act = recording.act[looks[0]]
        there = recording.positions[np.ix_(looks, members)]
        wanted = np.broadcast_to(slots, there.shape)
        fit, back = umeyama(slots, there, freedom=FREE), umeyama(there, wanted, freedom=FREE)
        held = recording.slot[looks]
        away = np.linalg.norm(fit.apply(recording.formations[act, held]) - recording.positions[looks], axis=2)
        off[looks] = np.where(held >= 0, away, np.nan)
        scale[looks] = fit.scale
        error[looks] = away[:, members].mean(1) / (np.minimum(fit.scale, 1.0) * wide[act])
        misfit[looks] = np.linalg.norm(back.apply(there) - wanted, axis=2).sum(1) / wide[act]
    return Shape(error, misfit, scale, off)


def safety(recording: Recording) -> Safety:
    """How near vehicles came to each other and to obstacles."""
    separation, clearance, altitude = separations(recording), clearances(recording), altitudes(recording)
    touches = (separation < 2.0 * VEHICLE_M) | (np.minimum(clearance, altitude) < VEHICLE_M)
    return Safety(separation[0], clearance[0], altitude[0], *touches)


def separations(recording: Recording) -> Floats:
    """(2, t): least distances of pairs that fly straight on from look to look; of those of which one steers at least,
    and of the others. Infinite where there is no pair; for the others, none nearer than NEAR_M.
    """
    found = np.full((2, len(recording.times)), np.inf)
    for k, positions in enumerate(recording.positions):
        after = recording.positions[min(k + 1, len(recording.times) - 1)]
        there = np.isfinite(positions[:, 0]) & np.isfinite(after[:, 0])
        begin, end, steers = positions[there] * SQUASHED, after[there] * SQUASHED, ~recording.adrift[k, there]
        if len(begin) < 2:
            continue
        pairs = cKDTree(begin).query_pairs(NEAR_M, output_type="ndarray")
        apart, change = np.subtract(*begin[pairs.T]), np.subtract(*(end - begin)[pairs.T])
        square = np.maximum((change**2).sum(1), 1e-12)
        share = np.clip(-(apart * change).sum(1) / square, 0.0, 1.0)
        closest = np.linalg.norm(apart + share[:, None] * change, axis=1)
        counts = steers[pairs].any(1)
        found[:, k] = closest[counts].min(initial=np.inf), closest[~counts].min(initial=np.inf)
        if steers.any() and not counts.any():
            found[0, k] = cKDTree(begin).query(begin[steers], k=2)[0][:, 1].min()
    return found


def clearances(recording: Recording) -> Floats:
    """(2, t): least distances to obstacles, exact where the solids are known; of vehicles that steer, and of others."""
    here = np.isfinite(recording.positions[..., 0])
    there = np.where(here[..., None], recording.positions, 1e6)
    return _least(recording, recording.world.distance(there.reshape(-1, 3)).reshape(here.shape))


def altitudes(recording: Recording) -> Floats:
    """(2, t): least z of vehicles that steer, and of others."""
    return _least(recording, recording.positions[..., 2])


def _least(recording: Recording, values: Floats) -> Floats:
    """(2, t): the least of (t, n), of those that steer, and of others; infinite where there is none."""
    here = np.isfinite(recording.positions[..., 0])
    of = here & ~recording.adrift, here & recording.adrift
    return np.stack([np.where(one, values, np.inf).min(1, initial=np.inf) for one in of])
