"""Which slots are kept where there are fewer vehicles than slots. Ours."""

from __future__ import annotations

import numpy as np
from scipy.spatial.distance import cdist

from espalier.robots.swarm.formation.config import Shape
from espalier.robots.swarm.register.similarity import Floats, Ints

SOLID = frozenset({"line", "grid", "cube", "hexagon", "prism", "octahedron"})
"""Shapes that are the same shape when they are smaller. The others are drawn by their slots: without the outer ones a
word lacks letters, a ring is an arc and a sphere a bowl.
"""
POWER = 6
"""By which two slots crowd each other, of the distance to the nearest over theirs: neighbours do, others hardly."""
BETWEEN = 2.0
"""Crowding of a slot between two; that of more does not count, or crossings would go first."""
ALIKE = 0.9
"""Slots that are crowded by so much of the most are taken for equally crowded."""
TINY_M = 1e-9


def closes_inwards(shape: Shape) -> bool:
    """Whether a formation keeps its most central slots; else it is thinned evenly."""
    return isinstance(shape, str) and shape in SOLID


def central(slots: Floats, count: int) -> Ints:
    """(count,) in rising order: of slots (m, 3), those nearest to their middle."""
    away = ((slots - slots.mean(0)) ** 2).sum(-1)
    return np.sort(np.argsort(away.round(9), kind="stable")[:count])


def thinned(slots: Floats, count: int) -> Ints:
    """(count,) in rising order: of slots (m, 3), those that are left when one goes again and again: of those with
    neighbours on either side, the one farthest from all that went before.

    So all parts of a shape lose alike, ends and corners stay, and no two neighbours go while there are others.
    """
    apart = cdist(slots, slots)
    np.fill_diagonal(apart, np.inf)
    near = apart.min(1, initial=np.inf)
    push = (np.sqrt(near[:, None] * near) / np.maximum(apart, TINY_M)) ** POWER
    crowding, left, away = push.sum(1), np.ones(len(slots), np.bool_), np.full(len(slots), np.inf)
    for _ in range(len(slots) - count):
        crowded = np.where(left, np.minimum(crowding, BETWEEN), -1.0)
        ready = np.flatnonzero(crowded >= ALIKE * crowded.max())
        gone = int(ready[np.argmax(away[ready])])
        left[gone] = False
        crowding -= push[gone]
        away = np.minimum(away, apart[gone])
    return np.flatnonzero(left)
