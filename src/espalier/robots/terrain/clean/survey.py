"""Points and their geometry, without those that show no surface."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from espalier.robots.terrain.clean.core import together
from espalier.robots.terrain.clean.lone import detached, intensity
from espalier.robots.terrain.clean.surface import beside
from espalier.robots.terrain.features.geometric import Geometry, geometry, geometry_of, neighbourhoods

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

LONE, CLUTTER = "lone above or below all others", "clutter in the air"
"""Reasons why a point is dropped."""
ENOUGH = 50
"""Fewer points are left as they are: nothing can be said of what lies around them."""
LITTLE = 1e-3
"""Share of clutter of which too little lies beside the surface to be looked for there."""
SHRINKS = 0.5
"""Lone points go first where the box of the others is smaller than this share of the whole: far below, far above."""


@dataclass(frozen=True)
class Survey:
    """kept: (m,) ascending indices of the points that show a surface. geometry: of each of them. dropped: the others,
    by reason. clutter: estimated share of all points that is clutter.
    """

    kept: Ints
    geometry: Geometry
    dropped: dict[str, int] = field(default_factory=dict)
    clutter: float = 0.0


def survey(points: Floats, neighbours: int, *, clean: bool = True) -> Survey:
    """Of (n, 3) points. Where `clean` is off all are kept."""
    n = len(points)
    if not clean or n < ENOUGH:
        return Survey(np.arange(n), geometry(points, neighbours))
    kept = _without_far(points, np.arange(n))
    lone = n - len(kept)
    dense = intensity(points[kept])
    clutter = min(dense * float(np.ptp(points[kept], axis=0).prod()) / n, 1.0)
    if dense:
        kept = kept[together(points[kept], dense)]
    apart = detached(points[kept]) if len(kept) >= ENOUGH else np.zeros(len(kept), bool)
    lone, kept = lone + int(np.count_nonzero(apart)), kept[~apart]
    left = points[kept]
    if clutter < LITTLE or len(kept) < ENOUGH:
        found = geometry(left, neighbours)
    else:
        around = neighbourhoods(left, neighbours)
        good = ~beside(left, around.found, around.radius, dense)
        kept, found = kept[good], geometry_of(left, around, good)
    if len(kept) < ENOUGH:  # there is no surface to be found; `doubts` says so
        return Survey(np.arange(n), geometry(points, neighbours), clutter=clutter)
    counts = {LONE: lone, CLUTTER: n - lone - len(kept)}
    return Survey(kept, found, {why: count for why, count in counts.items() if count}, clutter)


def _without_far(points: Floats, kept: Ints) -> Ints:
    """Without lone points that lie far above or below all others: the box is then that of the cloud."""
    while len(kept) >= ENOUGH:
        left = kept[~detached(points[kept])]
        if len(left) in (0, len(kept)) or np.ptp(points[left, 2]) > SHRINKS * np.ptp(points[kept, 2]):
            break
        kept = left
    return kept
