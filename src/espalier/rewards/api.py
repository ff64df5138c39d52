"""A reward maps finished episodes to numbers. Verifiers give 0 to 1; shaping terms any finite number."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from espalier.envs.api import Episode

Reward = Callable[[Episode], float | Awaitable[float]]
"""Raises EnvError where it cannot judge: the attempt then counts as failed."""

GroupReward = Callable[[Sequence[Episode]], Sequence[float] | Awaitable[Sequence[float]]]
"""A number for each episode of a group, all of one task. Raises EnvError where it cannot judge: all have failed."""
