"""Points and their geometry, without those that show no surface."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from espalier.robots.terrain.clean.core import together
from espalier.robots.terrain.clean.lone import detached, intensity
from espalier.robots.terrain.clean.rings import MANY, found_sensor, is_revolution, on_rings
from espalier.robots.terrain.clean.surface import beside
from espalier.robots.terrain.features.geometric import Geometry, geometry, geometry_of, neighbourhoods

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

LONE, CLUTTER = "lone above or below all others", "clutter in the air"
"""Reasons why a point is dropped."""
ENOUGH = 50
"""Fewer points are left as they are: nothing can be said of what lies around them."""
LITTLE = 1e-3
"""Share of clutter of which too little lies beside the surface to be looked for there."""
SHRINKS = 0.5
"""Lone points go first where the box of the others is smaller than this share of the whole: far below, far above."""

HELD = 0.4
"""Share of the points of a revolution that rings hold, at least, in as much clutter as is told from the ground."""

SHELLS, SPARSE = 50, 0.15
"""Parts of the held points, by their range, and the share of one that does not hold together where it is sparse."""


@dataclass(frozen=True)
class Survey:
    """kept: (m,) ascending indices of the points that show a surface. geometry: of each of them. dropped: the others,
    by reason. clutter: estimated share of all points that is clutter.
    """

    kept: Ints
    geometry: Geometry
    dropped: dict[str, int] = field(default_factory=dict)
    clutter: float = 0.0


def survey(points: Floats, neighbours: int, *, clean: bool = True, sensor: Floats | None = None) -> Survey:
    """Of (n, 3) points. Where `clean` is off all are kept. sensor: (4, 4) its pose where they are of one scan, whose
    rings are looked at where it has many points; else it is looked at whether they are one revolution of a lidar.
    """
    n = len(points)
    if not clean or n < ENOUGH:
        return Survey(np.arange(n), geometry(points, neighbours))
    kept = _without_far(points, np.arange(n))
    lone = n - len(kept)
    held, dense, ranges = _held(points[kept], sensor)
    clutter = min(dense * float(np.ptp(points[kept], axis=0).prod()) / n, 1.0)
    if dense:
        core = together(points[kept], dense)
        held = _where_sparse(held, core, ranges)
        stays = core | held
        kept, held = kept[stays], held[stays]
    apart = detached(points[kept]) & ~held if len(kept) >= ENOUGH else np.zeros(len(kept), bool)
    lone, kept, held = lone + int(np.count_nonzero(apart)), kept[~apart], held[~apart]
    left = points[kept]
    if clutter < LITTLE or len(kept) < ENOUGH:
        found = geometry(left, neighbours)
    else:
        around = neighbourhoods(left, neighbours)
        good = ~beside(left, around.found, around.radius, dense, held)
        kept, found = kept[good], geometry_of(left, around, good)
    if len(kept) < ENOUGH:  # there is no surface to be found; `doubts` says so
        return Survey(np.arange(n), geometry(points, neighbours), clutter=clutter)
    counts = {LONE: lone, CLUTTER: n - lone - len(kept)}
    return Survey(kept, found, {why: count for why, count in counts.items() if count}, clutter)


def _held(points: Floats, sensor: Floats | None) -> tuple[Bools, float, Floats]:
    """Points of (n, 3) that a ring of a lidar holds, the clutter's points a cubic metre, and all ranges."""
    if sensor is not None:
        local = (points - sensor[:3, 3]) @ sensor[:3, :3]
        around = len(points) >= MANY and is_revolution(local)
    else:
        place = found_sensor(points)
        local, around = points if place is None else points - place, place is not None
    if around:
        held, dense = on_rings(local)
        if held.mean() >= HELD:
            return held, dense, np.linalg.norm(local, axis=1)
    return np.zeros(len(points), bool), intensity(points), np.zeros(len(points))


def _where_sparse(held: Bools, core: Bools, ranges: Floats) -> Bools:
    """Those of the held points that are as far as others that hold together no more: near ones need no ring, and some
    of the clutter is held by chance.
    """
    out = np.zeros(len(held), bool)
    found = np.flatnonzero(held)
    farthest_first = found[np.argsort(-ranges[found])]
    for shell in np.array_split(farthest_first, SHELLS):
        if not len(shell) or 1.0 - core[shell].mean() <= SPARSE:
            break
        out[shell] = True
    return out


def _without_far(points: Floats, kept: Ints) -> Ints:
    """Without lone points that lie far above or below all others: the box is then that of the cloud."""
    while len(kept) >= ENOUGH:
        left = kept[~detached(points[kept])]
        if len(left) in (0, len(kept)) or np.ptp(points[left, 2]) > SHRINKS * np.ptp(points[kept, 2]):
            break
        kept = left
    return kept
