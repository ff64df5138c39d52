"""The middle lines of a drawing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.ndimage import distance_transform_edt, label, maximum_filter, median

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

MOST_NEIGHBOURS = 6
"""A pixel with more is inside."""
THICK = 0.9
"""Of the thickness around: a loose end of less is a bend into a corner of the drawing, not part of the stroke..."""
PIXEL = 1.01
"""...unless this is no more pixels less, which may be rounding."""
AROUND = np.ones((3, 3), bool)


def thinned(mask: Mask) -> Mask:
    """A mask (rows, cols) worn down from all sides to lines one pixel wide, connected as it was.

    Source: Zhang & Suen, 1984. That each pixel may go is seen to once more when it does, or small squares would vanish;
    and loose ends that bend into corners are cut off; both are ours.
    """
    padded = np.pad(mask, 1)
    left, cols = padded.ravel().copy(), padded.shape[1]
    border = np.flatnonzero(left)
    worn = True
    while worn:
        worn = False
        for first in (True, False):
            ring = _ring(left, border, cols)
            north, east, south, west = ring[::2]
            if first:
                edge = ~(north & east & south) & ~(east & south & west)
            else:
                edge = ~(north & east & west) & ~(north & south & west)
            shallow = np.add.reduce(ring, dtype=np.int64) <= MOST_NEIGHBOURS
            gone = _remove(left, border[edge & shallow], cols, 2)
            bared = np.concatenate([gone + step for step in _steps(cols)])
            border = np.unique(np.concatenate([border[shallow], bared]))
            border = border[left[border]]
            worn = worn or bool(len(gone))
    _cut_bends(left, padded)
    return left.reshape(padded.shape)[1:-1, 1:-1]


def _steps(cols: int) -> tuple[int, ...]:
    """To the neighbours of a pixel, clockwise from above."""
    return (-cols, 1 - cols, 1, 1 + cols, cols, cols - 1, -1, -1 - cols)


def _ring(pixels: Mask, at: Ints, cols: int) -> list[Mask]:
    return [pixels[at + step] for step in _steps(cols)]


def _joined(pixels: Mask, at: Ints, cols: int, least: int) -> Ints:
    """Those whose neighbours are one group of at least so many: what a pixel touches stays connected without it."""
    ring = _ring(pixels, at, cols)
    begins = np.add.reduce([~a & b for a, b in zip(ring, [*ring[1:], ring[0]], strict=True)], dtype=np.int64)
    return at[(begins == 1) & (np.add.reduce(ring, dtype=np.int64) >= least)]


def _remove(pixels: Mask, at: Ints, cols: int, least: int) -> Ints:
    """Take away what may go, see `_joined`, every second pixel of every second row at a time: as these do not touch,
    each still may when it goes. Returns them.
    """
    wanted, gone = _joined(pixels, at, cols, least), []
    turns = 2 * (wanted // cols % 2) + wanted % cols % 2
    for turn in range(4):
        gone.append(_joined(pixels, wanted[turns == turn], cols, 1))
        pixels[gone[-1]] = False
    return np.concatenate(gone)


def _cut_bends(lines: Mask, padded: Mask) -> None:
    """Take away, from its ends, what is nearer to the edge of the drawing than the stroke close by and its part."""
    inside, cols = np.flatnonzero(lines), padded.shape[1]
    if not len(inside):
        return
    depth = np.asarray(distance_transform_edt(padded))
    thickness, reach = depth.ravel()[inside], int(np.median(depth.ravel()[inside]))
    part = label(padded, AROUND)[0].ravel()[inside]
    usual = np.asarray(median(thickness, part, np.arange(part.max() + 1)))[part]
    usual = np.minimum(usual, maximum_filter(depth, 2 * reach + 1).ravel()[inside])
    thin = inside[thickness < np.minimum(THICK * usual, usual - PIXEL)]
    for _ in range(2 * reach):
        _remove(lines, thin[lines[thin]], cols, 1)
