"""The algorithms by name. Imports without torch."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from espalier.rl.algorithms.config import Algorithm
from espalier.rl.algorithms.rows import ROWS


def algorithm(name: str, **overrides: Any) -> Algorithm:
    """The algorithm `name` with some fields changed. Raises ConfigError with the nearest name if there is none."""
    return Algorithm.of(name=name, **overrides)


ALGORITHMS: Mapping[str, Algorithm] = MappingProxyType({name: algorithm(name) for name in ROWS})
"""Every algorithm as published, or as documented in docs/rl/algorithms.md."""
