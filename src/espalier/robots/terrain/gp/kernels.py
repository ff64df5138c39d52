"""Stationary covariance functions of a squared distance, in units of length scales, and their derivative by it."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]
KernelName = Literal["rational_quadratic", "rbf", "matern32", "matern52"]


def covariance(name: KernelName, r2: Array, alpha: float = 10.0) -> Array:
    """k of squared distances of any shape, in their precision, with k(0) = 1. alpha: of the rational quadratic.

    Rasmussen and Williams, Gaussian Processes for Machine Learning, 4.2.
    """
    number = r2.dtype.type
    match name:
        case "rational_quadratic":
            return np.exp(number(-alpha) * np.log(number(1.0) + r2 / number(2.0 * alpha)))
        case "rbf":
            return np.exp(number(-0.5) * r2)
        case "matern32":
            r = np.sqrt(number(3.0) * r2)
            return (number(1.0) + r) * np.exp(-r)
        case "matern52":
            r = np.sqrt(number(5.0) * r2)
            return (number(1.0) + r + r * r / number(3.0)) * np.exp(-r)


def slope(name: KernelName, r2: Array, value: Array, alpha: float = 10.0) -> Array:
    """dk / d(r2) where k is `value`; not positive."""
    number = r2.dtype.type
    match name:
        case "rational_quadratic":
            return number(-0.5) * value / (number(1.0) + r2 / number(2.0 * alpha))
        case "rbf":
            return number(-0.5) * value
        case "matern32":
            return number(-1.5) * np.exp(-np.sqrt(number(3.0) * r2))
        case "matern52":
            r = np.sqrt(number(5.0) * r2)
            return number(-5.0 / 6.0) * (number(1.0) + r) * np.exp(-r)
