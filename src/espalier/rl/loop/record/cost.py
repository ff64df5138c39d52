"""Cumulative cost of training: the axes of studies. Evaluations, checkpoints and publishing are not counted.

generated_tokens: sampled tokens, including those of dropped rollouts. forwarded_tokens: tokens of all forward passes,
in the engine (computed prompts, and samples) and in each pass of the learner. cpu_seconds: of this process, all
threads.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

NAMES = ("generated_tokens", "forwarded_tokens", "cpu_seconds")
"""Each is a figure of the job, and the metric `cost/<name>`."""


class Cost:
    """Accumulates in `figures`, which are saved in checkpoints. Time is measured between `begin` and `add`."""

    def __init__(self, figures: dict[str, float]) -> None:
        self._figures = figures
        self._begun = 0.0

    def begin(self) -> None:
        """A step begins."""
        self._begun = time.process_time()

    def add(self, trained: Mapping[str, float], played: Mapping[str, float] | None = None) -> None:
        """A step ends. trained: the learner's metrics; played: those of `engine_figures`, if there were rollouts."""
        generated, prefilled = (played["engine/tokens"], played["engine/prefill_tokens"]) if played else (0.0, 0.0)
        forwarded = trained.get("tokens/forwarded", 0.0) + generated + prefilled
        seconds = time.process_time() - self._begun
        for name, spent in zip(NAMES, (generated, forwarded, seconds), strict=True):
            self._figures[name] = self._figures.pop(name, 0.0) + spent  # the last of the figures

    @property
    def metrics(self) -> dict[str, float]:
        """Totals so far."""
        return {f"cost/{name}": self._figures.get(name, 0.0) for name in NAMES}
