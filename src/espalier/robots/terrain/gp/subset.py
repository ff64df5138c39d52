"""A Gaussian process conditioned on few points: mean, variance and gradient at many."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.spatial.distance import cdist

from espalier.robots.terrain.gp.kernels import KernelName, covariance, slope

Floats = npt.NDArray[np.float64]
Singles = npt.NDArray[np.float32]
SINGLE = 1e-6
"""Share of the prior variance that single precision can tell from none."""


@dataclass(frozen=True)
class Prediction:
    """mean, variance: (m,) of the function, without the noise of a measurement."""

    mean: Floats
    variance: Floats


class SubsetGp:
    """f ~ GP(centre, std^2 k(|x - x'| / lengths)), from (n, d) `inputs`, (n,) `targets` with `noise` (n,) standard
    deviations. lengths: (d,) in the units of the inputs.

    The fit is in double precision and costs n^3 / 3; predictions are in single precision and cost n^2 each, nearly all
    of it for the variance. Source: FSGP-BGK (arXiv 2503.04134), step 3; the noise on the diagonal is ours.
    """

    def __init__(
        self,
        inputs: Floats,
        targets: Floats,
        noise: Floats,
        *,
        lengths: Floats,
        kernel: KernelName = "rational_quadratic",
        alpha: float = 10.0,
        std: float = 1.0,
    ) -> None:
        self._kernel: KernelName = kernel
        self._alpha, self._std = alpha, std
        self._lengths = lengths
        self._middle = inputs.mean(0)  # small numbers keep their digits in single precision
        scaled = (inputs - self._middle) / lengths
        self.centre = float(np.median(targets))
        prior = std**2 * covariance(kernel, cdist(scaled, scaled, "sqeuclidean"), alpha)
        prior[np.diag_indices_from(prior)] += noise**2
        self._factor, _ = cho_factor(prior, lower=True, overwrite_a=True, check_finite=False)
        self._weights = cho_solve((self._factor, True), targets - self.centre, check_finite=False)
        self._inputs = scaled.astype(np.float32)
        self._half = self._factor.astype(np.float32)

    def predict(self, inputs: Floats) -> Prediction:
        """At (m, d) inputs."""
        near = covariance(self._kernel, _squares(self._scaled(inputs), self._inputs), self._alpha)
        near *= np.float32(self._std**2)
        mean = self.centre + (near @ self._weights.astype(np.float32)).astype(np.float64)
        explained = solve_triangular(self._half, near.T, lower=True, overwrite_b=True, check_finite=False)
        left = self._std**2 - np.einsum("ij,ij->j", explained, explained, dtype=np.float64)
        variance = np.maximum(left, SINGLE * self._std**2)
        return Prediction(mean, variance)

    def gradient(self, inputs: Floats) -> Floats:
        """(m, d): of the mean at (m, d) inputs, in closed form."""
        x = self._scaled(inputs)
        r2 = _squares(x, self._inputs)
        falls = slope(self._kernel, r2, covariance(self._kernel, r2, self._alpha), self._alpha)
        weights = (self._std**2 * self._weights).astype(np.float32)
        pulls = (falls @ np.column_stack([weights, weights[:, None] * self._inputs])).astype(np.float64)
        return 2.0 * (x * pulls[:, :1] - pulls[:, 1:]) / self._lengths

    def _scaled(self, inputs: Floats) -> Singles:
        return ((inputs - self._middle) / self._lengths).astype(np.float32)


def _squares(a: Singles, b: Singles) -> Singles:
    """(m, n) squared distances between (m, d) and (n, d)."""
    squares = a @ (np.float32(-2.0) * b.T)
    squares += np.einsum("ij,ij->i", a, a)[:, None]
    squares += np.einsum("ij,ij->i", b, b)
    return np.maximum(squares, np.float32(0.0), out=squares)
