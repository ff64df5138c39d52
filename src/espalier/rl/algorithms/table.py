"""The algorithms by name. Imports without torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from espalier.rl.algorithms.config import Algorithm
from espalier.rl.algorithms.rows import ROWS


def algorithm(name: str, **overrides: Any) -> Algorithm:
    """The row `name` with some fields changed. Raises ConfigError with the nearest name where there is none."""
    return Algorithm.of(name=name, **overrides)


ALGORITHMS: Mapping[str, Algorithm] = MappingProxyType({name: algorithm(name) for name in ROWS})
"""Every row as published, or as its card in docs/rl/algorithms.md says."""
