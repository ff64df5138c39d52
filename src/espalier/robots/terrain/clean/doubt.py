"""Whether a map can be believed, judged by the points that it was made of."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from espalier.robots.terrain.clean.survey import Survey
from espalier.robots.terrain.grid.frame import Frame

Floats = npt.NDArray[np.float64]

MOST_CLUTTER = 0.5
"""Share of clutter up to which it was measured that the ground is found (`benchmarks/terrain.py`)."""
MOST_LOST = 0.6
"""Share of dropped points that is no longer explained by that much clutter."""
FAR_M = 0.3
"""A cell is torn where half of its points lie farther above or below its elevation."""
MOST_TORN = 0.4
"""Share of torn cells; walls, trunks and crowns make some."""


def doubts(points: Floats, found: Survey, frame: Frame, elevation: npt.NDArray[np.floating]) -> tuple[str, ...]:
    """Reasons with their numbers, none for a map that can be believed. points: (n, 3), those that were mapped.
    elevation: (rows, cols). Ours.
    """
    reasons = []
    total = len(found.kept) + sum(found.dropped.values())
    lost = 1.0 - len(found.kept) / max(total, 1)
    if found.clutter > MOST_CLUTTER or lost > MOST_LOST:
        reasons.append(
            f"{100 * found.clutter:.0f}% of the points are clutter spread through the air, by estimate, and "
            f"{100 * lost:.0f}% were dropped: up to {100 * MOST_CLUTTER:.0f}% of clutter is told from the ground"
        )
    torn = _torn(points, frame, elevation)
    if torn > MOST_TORN:
        reasons.append(
            f"in {100 * torn:.0f}% of the cells half of the points lie over {FAR_M:g} m above or below the elevation: "
            "there is no single ground in them: clutter, an axis that is not up, or overhangs (set `ceiling_m`)"
        )
    return tuple(reasons)


def _torn(points: Floats, frame: Frame, elevation: npt.NDArray[np.floating]) -> float:
    """Share of the cells with points."""
    cells = frame.cells(points[:, :2])
    inside = frame.inside(cells)
    flat = cells[inside] @ np.array([frame.cols, 1])
    off = np.abs(points[inside, 2] - elevation.reshape(-1)[flat])
    every = np.bincount(flat, minlength=frame.rows * frame.cols)
    far = np.bincount(flat, off > FAR_M, minlength=frame.rows * frame.cols)
    return int(np.count_nonzero(far > 0.5 * every)) / max(int(np.count_nonzero(every)), 1)
