"""How long requests are where no file tells: traces without times, drawn from a distribution."""

from __future__ import annotations

import numpy as np

from espalier.core.seed import np_rng
from espalier.serving.traces.trace import Ints, Trace

ROWS = 20_000
"""Requests of a generated trace, which a simulation draws from as it does from those of a file."""


def constant(prompt: int, output: int) -> Trace:
    """All requests alike, in tokens."""
    return Trace("constant", np.array([prompt]), np.array([output]))


def lognormal(prompt: float, output: float, cv: float, seed: int = 0) -> Trace:
    """Tokens of mean `prompt` and `output` and of the coefficient of variation `cv`, independent of each other."""

    def draw(mean: float, what: str) -> Ints:
        variance = np.log1p(cv**2)
        tokens = np_rng(seed, "lognormal", what).lognormal(np.log(mean) - variance / 2, np.sqrt(variance), ROWS)
        return np.maximum(tokens.round(), 1).astype(np.int64)

    return Trace("lognormal", draw(prompt, "prompt"), draw(output, "output"))
