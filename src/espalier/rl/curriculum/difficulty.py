"""Pass rates of tiers and tasks, estimated from the rollouts of training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNKNOWN = 0.5
"""The pass rate of what was never tried: the mean of Beta(1, 1)."""


class Difficulty:
    """Exponential moving averages of pass rates: of tiers, updated once a step, and of tasks, updated at each visit.

    The estimate of a task is that of its tier, until the task was tried itself: after v visits, v parts are its own
    average and one part is its tier's.
    """

    def __init__(
        self, decay: float, known: Mapping[str, float] | None = None, saved: Mapping[str, Any] | None = None
    ) -> None:
        """`known`: pass rates of tiers at the start. `saved`: what `save` returned."""
        saved = saved or {}
        self._decay = decay
        self._tiers: dict[str, float] = dict(saved.get("tiers", known or {}))
        self._tasks: dict[str, tuple[float, int]] = {key: (ema, n) for key, (ema, n) in saved.get("tasks", {}).items()}
        self._fresh: dict[str, list[float]] = {tier: list(rates) for tier, rates in saved.get("fresh", {}).items()}

    def see(self, tier: str, rate: float, task: str = "") -> None:
        """A group of `tier` had this pass rate. `task`: its key, where it may come again."""
        self._fresh.setdefault(tier, []).append(rate)
        if task:
            ema, visits = self._tasks.get(task, (rate, 0))
            self._tasks[task] = (self._decay * ema + (1 - self._decay) * rate, visits + 1)

    def advance(self) -> None:
        """A step ended: the tiers it saw are updated with their mean rates."""
        for tier, rates in self._fresh.items():
            mean = sum(rates) / len(rates)
            self._tiers[tier] = self._decay * self._tiers.get(tier, UNKNOWN) + (1 - self._decay) * mean
        self._fresh.clear()

    def rate(self, tier: str, task: str = "") -> float:
        """The estimated pass rate of a task of `tier`."""
        tiers = self._tiers.get(tier, UNKNOWN)
        ema, visits = self._tasks.get(task, (0.0, 0))
        return (visits * ema + tiers) / (visits + 1)

    @property
    def tiers(self) -> Mapping[str, float]:
        """The estimate of each tier that is known or was seen."""
        return self._tiers

    def save(self) -> dict[str, Any]:
        """Plain data, for a checkpoint."""
        return {"tiers": self._tiers, "tasks": {k: list(v) for k, v in self._tasks.items()}, "fresh": self._fresh}


def weight(rate: float, guess: float, floor: float) -> float:
    """w = 4 p (1 - p) + floor, with p = max(0, (rate - guess) / (1 - guess)): the share of answers that are right for
    another reason than luck.
    """
    p = max(0.0, (rate - guess) / (1.0 - guess)) if guess < 1.0 else 0.0
    return 4.0 * p * (1.0 - p) + floor
