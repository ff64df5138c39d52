"""Drawings as masks of pixels: filled, as the outline, or as strokes, with points spread evenly over them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.ndimage import binary_erosion, label

from espalier.core.errors import DataError
from espalier.robots.swarm.formation.config import Style
from espalier.robots.swarm.formation.even import PER_POINT, Floats, evenly, spaced
from espalier.robots.swarm.formation.thin import thinned

Mask = npt.NDArray[np.bool_]

CURVE_PER_POINT = 12
"""Pixels of a line per point."""
MOST_PIXELS = 4e6
"""Of a mask, at most."""
AROUND = np.ones((3, 3), bool)


def standing(draw: Callable[[float], Mask], count: int, spacing_m: float, style: Style) -> Floats:
    """(count, 3) slots of a drawing that stands upright: x to the right, z up, y 0; read from where y is negative.

    draw: the mask (rows, cols), first row on top, at so many times a first size; called with 1 and then as fine as the
    points need. The two nearest slots are `spacing_m` apart. Raises DataError where nothing is drawn.
    """
    first = draw(1.0)
    pixels = int(selected(first, style).sum())
    if not pixels:
        raise DataError("the drawing is empty: there is nothing to place agents on")
    finer = np.sqrt(PER_POINT * count / pixels) if style == "fill" else CURVE_PER_POINT * count / pixels
    finest = max(np.sqrt(MOST_PIXELS / first.size), 1.0)
    chosen = selected(draw(float(np.clip(finer, 1.0, finest))), style)
    parts, _ = label(chosen, AROUND)
    rows, cols = np.nonzero(chosen)
    pixels_xy = np.stack([cols, -rows], -1).astype(np.float64)
    flat = spaced(evenly(pixels_xy, count, parts[rows, cols].astype(np.int64) - 1), spacing_m)
    return np.stack([flat[:, 0], np.zeros(count), flat[:, 1]], -1)


def selected(mask: Mask, style: Style) -> Mask:
    """The pixels of a mask (rows, cols) that points may be on."""
    match style:
        case "fill":
            return mask
        case "outline":
            return mask & ~binary_erosion(mask, AROUND)
        case "stroke":
            return thinned(mask)
