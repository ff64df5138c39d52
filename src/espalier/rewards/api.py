"""A reward maps a finished episode to a number. Verifiers give 0 to 1; shaping terms any finite number."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from espalier.envs.api import Episode

Reward = Callable[[Episode], float | Awaitable[float]]
"""Raises EnvError where it cannot judge: the attempt then counts as failed."""
