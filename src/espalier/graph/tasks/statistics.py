"""Statistics over seeds: mean and standard deviation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Summary(NamedTuple):
    """Mean and population standard deviation of `n` seeds, as in the published tables."""

    mean: float
    std: float
    n: int

    def __str__(self) -> str:
        return f"{100 * self.mean:.2f} ± {100 * self.std:.2f}"


def summary(values: Sequence[float]) -> Summary:
    """The summary of at least one value."""
    return Summary(float(np.mean(values)), float(np.std(values)), len(values))
