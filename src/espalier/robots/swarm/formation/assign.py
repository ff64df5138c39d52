"""Which agent takes which slot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from espalier.core.errors import DataError
from espalier.robots.swarm.formation.closing import central, thinned
from espalier.robots.swarm.register.similarity import Flags, Floats, Freedom, Ints, Similarity
from espalier.robots.swarm.register.umeyama import umeyama

FIXED = Freedom(yaw_only=True, scale=(1.0, 1.0))
ROUNDS = 20
"""Of assignment and fit, at most."""


@dataclass(frozen=True)
class Assignment:
    """slot: (n,) of each agent, -1 for none. place: where the slots were taken to be. cost: sum of squared metres."""

    slot: Ints
    place: Similarity
    cost: float


def assign(
    positions: Floats, slots: Floats, *, place: Similarity | None = None, freedom: Freedom | None = None
) -> Assignment:
    """The slots (m, 3), m >= n, for agents at (n, 3), with the least sum of squared distances to them.

    place: where the slots are; by default their middle is brought to that of the agents. freedom: the slots are turned
    and scaled as well, by turns with the assignment, until it stays; this finds the best near the start only.
    Raises DataError where an agent has no finite position, or there are too few slots.
    """
    if len(slots) < len(positions) or not np.isfinite(positions).all():
        raise DataError(
            f"{len(positions)} agents with finite positions are needed and at least as many slots, not {len(slots)}"
        )
    where = _centred(positions, slots) if place is None else place
    taken, cost = _hungarian(positions, slots, where)
    if freedom is None:
        return Assignment(taken, where, cost)
    for _ in range(ROUNDS):
        where, before = umeyama(slots[taken], positions, freedom=freedom, towards=where.rotation), taken
        taken, cost = _hungarian(positions, slots, where)
        if np.array_equal(taken, before):
            break
    return Assignment(taken, where, cost)


def remap(
    positions: Floats, slots: Floats, healthy: Flags, *, place: Similarity | None = None, inwards: bool = True
) -> Assignment:
    """As many slots of (m, 3) as there are healthy agents (n,), assigned to these; others get -1.

    positions: (n, 3), finite where healthy. place: where the slots are, as of the last registration. inwards: the most
    central slots are kept; else the formation is thinned evenly.
    """
    kept = (central if inwards else thinned)(slots, int(healthy.sum()))
    found = assign(positions[healthy], slots[kept], place=place)
    slot = np.full(len(positions), -1, np.int64)
    slot[healthy] = kept[found.slot]
    return Assignment(slot, found.place, found.cost)


def _hungarian(positions: Floats, slots: Floats, place: Similarity) -> tuple[Ints, float]:
    square = cdist(positions, place.apply(slots), "sqeuclidean")
    agents, taken = linear_sum_assignment(square)
    return taken.astype(np.int64), float(square[agents, taken].sum())


def _centred(positions: Floats, slots: Floats) -> Similarity:
    """The slots as they are, about the middle of the agents."""
    middle = positions.mean(0) if len(positions) else np.zeros(3)
    return umeyama(slots, np.broadcast_to(middle, slots.shape), freedom=FIXED)
