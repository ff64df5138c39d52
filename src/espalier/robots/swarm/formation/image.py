"""Pictures as formations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.ndimage import zoom

from espalier.core.errors import DataError
from espalier.robots.pictures import read_picture
from espalier.robots.swarm.formation.config import Style
from espalier.robots.swarm.formation.even import Floats
from espalier.robots.swarm.formation.mask import standing

LONGEST = 1024
"""Pixels along the longer side: a larger file is read smaller."""


def image(
    picture: str | Path | npt.NDArray[Any],
    count: int,
    spacing_m: float,
    *,
    style: Style = "fill",
    threshold: float = 0.5,
    bright: bool = False,
) -> Floats:
    """(count, 3) slots over what is drawn in a picture, upright, see `standing`.

    picture: a file, or (rows, cols) of flags, or of grey from 0 to 1, or to 255 where they are whole numbers.
    threshold: what is darker counts as drawn; or brighter, with `bright`. Transparent pixels never do. Raises DataError
    where the picture cannot be read.
    """
    drawn = _drawn(picture, threshold, bright)
    return standing(
        lambda finer: zoom(drawn, finer, order=1, grid_mode=True, mode="nearest") > 0.5, count, spacing_m, style
    )


def _drawn(picture: str | Path | npt.NDArray[Any], threshold: float, bright: bool) -> npt.NDArray[np.float32]:
    """1 where something is drawn, else 0; with a margin."""
    if isinstance(picture, np.ndarray):
        pixels, opaque = picture, np.ones(picture.shape, bool)
    else:
        pixels, opaque = _read(Path(picture))
    if pixels.ndim != 2 or not pixels.size:
        raise DataError(f"a picture is (rows, cols) of grey or flags, not {pixels.shape}")
    if pixels.dtype != bool:
        grey = pixels / 255.0 if np.issubdtype(pixels.dtype, np.integer) else pixels
        pixels = grey > threshold if bright else grey < threshold
    return np.pad(pixels & opaque, 1).astype(np.float32)


def _read(file: Path) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_]]:
    """Grey from 0 to 255, and what is not transparent."""
    both = np.asarray(read_picture(file, "LA", LONGEST))
    return both[..., 0], both[..., 1] > 127
