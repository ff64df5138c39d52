"""Hills: fractal ground by spectral synthesis, which is smooth below its shortest waves."""

from __future__ import annotations

import numpy as np

from espalier.robots.terrain.scenes.config import SceneConfig
from espalier.robots.terrain.scenes.parts import Parts
from espalier.robots.terrain.scenes.sample import Floats, Height, Rng

STEEPEST = float(np.tan(np.radians(35.0)))
KNOT_M = 0.5
"""Between the knots of the spline that is the ground."""
LONGEST_M = 40.0
"""Longer waves are left out, so that there are hills and not one slope."""
MARGIN_M = 2.0
"""The ground goes on so far beyond the square."""


def hills(config: SceneConfig, rng: Rng) -> Parts:
    """Bare ground."""
    return Parts(fractal(config.size_m, config.relief, rng))


def fractal(size_m: float, relief_m: float, rng: Rng, *, hurst: float = 1.0, shortest_m: float = 5.0) -> Height:
    """Ground with amplitudes like (frequency)^-(hurst + 1), for waves of about `shortest_m` to `LONGEST_M`.

    It is a bicubic spline through such heights, and exact as that. Source: spectral synthesis of fractional Brownian
    motion (Peitgen & Saupe, The Science of Fractal Images, 1988); the band is ours.
    """
    from scipy.interpolate import RectBivariateSpline

    knots = _knots(size_m)
    n = 2 * len(knots)  # twice as wide as needed, for the synthesis repeats itself
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(n, KNOT_M), np.fft.rfftfreq(n, KNOT_M), indexing="ij"))
    frequency[0, 0] = np.inf  # the mean is nought
    band = np.exp(-((frequency * shortest_m / 2.0) ** 2)) * -np.expm1(-((frequency * LONGEST_M) ** 2))
    amplitude = frequency ** -(hurst + 1.0) * band
    heights = np.fft.irfft2(amplitude * np.fft.rfft2(rng.normal(size=(n, n))), (n, n))[: len(knots), : len(knots)]
    spline = RectBivariateSpline(knots, knots, heights)
    fine = np.linspace(-size_m / 2, size_m / 2, 4 * len(knots))
    steepness = np.hypot(spline(fine, fine, dx=1), spline(fine, fine, dy=1)).max()
    scale = min(relief_m / float(np.ptp(spline(fine, fine))), STEEPEST / float(steepness))

    def height(x: Floats, y: Floats) -> Floats:
        z: Floats = scale * spline.ev(x, y)
        return z

    return height


def _knots(size_m: float) -> Floats:
    half = int(np.ceil((size_m / 2 + MARGIN_M) / KNOT_M))
    return np.linspace(-half * KNOT_M, half * KNOT_M, 2 * half + 1)
