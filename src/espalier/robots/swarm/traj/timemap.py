"""Durations are positive; the optimiser's variables are any number.

T = (tau + sqrt(tau^2 + 4)) / 2 is smooth and grows from 0 to infinity, and its inverse is tau = T - 1 / T. Source:
"squareplus" (Barron, 2021); its use here is ours.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from numba import njit


@njit(cache=True)
def to_duration(tau: float) -> float:
    """Positive, seconds; without loss of digits where tau is far below 0."""
    root = np.sqrt(tau * tau + 4.0)
    return 2.0 / (root - tau) if tau < 0.0 else 0.5 * (root + tau)


@njit(cache=True)
def slope(duration: float) -> float:
    """The derivative of a duration by its tau."""
    return duration**2 / (1.0 + duration**2)


def from_durations(durations: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(m,): the tau of each."""
    return durations - 1.0 / durations
