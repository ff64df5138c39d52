"""Finding things in pictures."""

from __future__ import annotations

import numpy as np


def coloured(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    """(k, 2): rows and columns that are of about this colour."""
    return np.argwhere((np.abs(picture.astype(int) - colour) < 12).all(-1))
