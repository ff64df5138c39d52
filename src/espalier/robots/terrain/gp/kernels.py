"""Stationary covariance functions of a squared distance, in units of length scales, and their derivative by it."""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.floating]
KernelName = Literal["rational_quadratic", "rbf", "matern32", "matern52"]


class Covariance(NamedTuple):
    """value: k(r2), with k(0) = 1. slope: dk / d(r2), not positive."""

    value: Array
    slope: Array


def covariance(name: KernelName, r2: Array, alpha: float = 10.0) -> Covariance:
    """Of squared distances of any shape, in their precision. alpha: of the rational quadratic.

    Rasmussen and Williams, Gaussian Processes for Machine Learning, 4.2.
    """
    one = r2.dtype.type(1.0)
    match name:
        case "rational_quadratic":
            base = one + r2 / r2.dtype.type(2.0 * alpha)
            value = np.exp(r2.dtype.type(-alpha) * np.log(base))
            return Covariance(value, r2.dtype.type(-0.5) * value / base)
        case "rbf":
            value = np.exp(r2.dtype.type(-0.5) * r2)
            return Covariance(value, r2.dtype.type(-0.5) * value)
        case "matern32":
            r = np.sqrt(r2.dtype.type(3.0) * r2)
            fall = np.exp(-r)
            return Covariance((one + r) * fall, r2.dtype.type(-1.5) * fall)
        case "matern52":
            r = np.sqrt(r2.dtype.type(5.0) * r2)
            fall = np.exp(-r)
            return Covariance(
                (one + r + r * r / r2.dtype.type(3.0)) * fall, r2.dtype.type(-5.0 / 6.0) * (one + r) * fall
            )
