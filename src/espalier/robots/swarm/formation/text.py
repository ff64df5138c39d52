"""Letters and words as formations, from the outlines of a font."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from espalier.core.errors import DataError, MissingExtraError
from espalier.robots.swarm.formation.config import Style
from espalier.robots.swarm.formation.even import Floats
from espalier.robots.swarm.formation.mask import Mask, standing

if TYPE_CHECKING:
    from matplotlib.font_manager import FontProperties

FONT = "DejaVu Sans"
"""Comes with matplotlib, so it is the same everywhere."""
SIZE = 60.0
"""Pixels of an em at first."""
LINE = 1.2
"""Ems from line to line."""


def text(words: str, count: int, spacing_m: float, *, style: Style = "stroke", font: str | Path = FONT) -> Floats:
    """(count, 3) slots that spell `words`, upright, see `standing`; lines are parted by newlines.

    style: `stroke` is read with about 12 points a letter, `outline` with 30, `fill` with 80. font: name of a family, or
    a file. Raises DataError for a letter or a font that there is not.
    """
    properties = _font(words, font, "normal" if style == "stroke" else "bold")
    contours = _contours(words, properties)
    if not contours:
        raise DataError(f"there is nothing to see of the text {words!r}")
    return standing(lambda finer: _raster(contours, finer), count, spacing_m, style)


def _font(words: str, font: str | Path, weight: str) -> FontProperties:
    try:
        from matplotlib.font_manager import FontProperties, findfont, get_font
    except ModuleNotFoundError as error:
        raise MissingExtraError(error.name or "matplotlib", "robots") from error
    is_file = Path(font).suffix.lower() in {".ttf", ".otf", ".ttc"}
    properties = FontProperties(fname=str(font)) if is_file else FontProperties(family=str(font), weight=weight)
    try:
        face = get_font(findfont(properties, fallback_to_default=False))
    except (ValueError, OSError, RuntimeError) as error:
        raise DataError(f"there is no font {str(font)!r}: {error}") from None
    missing = sorted({letter for letter in words if letter != "\n" and not face.get_char_index(ord(letter))})
    if missing:
        raise DataError(f"the font {str(font)!r} has no {', '.join(map(repr, missing))}; name another `font`")
    return properties


def _contours(words: str, properties: FontProperties) -> list[Floats]:
    """Closed contours (m, 2) in pixels, y up; lines are centred."""
    from matplotlib.textpath import TextPath

    contours: list[Floats] = []
    for number, line in enumerate(words.split("\n")):
        if not line.strip():
            continue
        path = TextPath((0.0, 0.0), line.replace("$", r"\$"), size=SIZE, prop=properties)
        polygons = [np.asarray(one, np.float64) for one in path.to_polygons()]
        if polygons:
            ends = np.concatenate(polygons)[:, 0]
            middle = (ends.min() + ends.max()) / 2.0
            contours += [one - (middle, number * LINE * SIZE) for one in polygons]
    return contours


def _raster(contours: list[Floats], finer: float) -> Mask:
    """(rows, cols): the pixels that contours go round, those that go the other way, as of holes, taken off."""
    from matplotlib.path import Path as Contour

    low, high = (np.concatenate(contours) * finer).min(0), (np.concatenate(contours) * finer).max(0)
    cols, rows = np.ceil(high - low).astype(int) + 2
    x, y = np.meshgrid(low[0] - 0.5 + np.arange(cols), high[1] + 0.5 - np.arange(rows))
    rounds = np.zeros((rows, cols), np.int64)
    for contour in contours:
        (left, lowest), (right, highest) = (contour * finer).min(0), (contour * finer).max(0)
        box = np.ix_(
            np.flatnonzero((y[:, 0] >= lowest) & (y[:, 0] <= highest)),
            np.flatnonzero((x[0] >= left) & (x[0] <= right)),
        )
        points = np.stack([x[box].ravel(), y[box].ravel()], -1)
        inside = Contour(contour * finer).contains_points(points).reshape(x[box].shape)
        after = np.roll(contour, -1, 0)
        turn = np.sign((contour[:, 0] * after[:, 1] - contour[:, 1] * after[:, 0]).sum())
        rounds[box] += int(turn) * inside
    return rounds != 0
