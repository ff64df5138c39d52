"""Held-out evaluation: its own tasks and sampling, the same noise every time, so that evaluations are paired."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from espalier.envs.api import Task
from espalier.rl.algorithms.evaluation import bootstrap_interval, pass_at_k
from espalier.rl.config import EvaluationConfig
from espalier.rl.rollout.groups import GroupPlayer, Played


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one evaluation found. `metrics` carry canonical names, `accuracy` is the mean over all tasks."""

    accuracy: float
    metrics: dict[str, float]


class Evaluator:
    """Plays the same held-out `tasks` each time."""

    def __init__(self, player: GroupPlayer, tasks: Sequence[Task], config: EvaluationConfig) -> None:
        self._player = player
        self._tasks = list(tasks)
        self._config = config

    async def __call__(self) -> Evaluation:
        """avg@n with a 95% bootstrap interval over tasks, pass@k and length, per environment and over all."""
        config = self._config
        plays = [self._player.play(i, task, config.samples) for i, task in enumerate(self._tasks)]
        groups = await asyncio.gather(*plays)
        by_env: dict[str, list[Played]] = defaultdict(list)
        for group in groups:
            by_env[group.task.env].append(group)
        metrics = self._figures("eval", groups)
        if len(by_env) > 1:
            for env, members in by_env.items():
                metrics |= self._figures(f"eval/{env}", members)
        return Evaluation(metrics["eval/avg"], metrics)

    def correct(self, group: Played) -> list[bool]:
        """The verdict on each attempt; attempts that failed count as wrong."""
        verdicts = [row.info["verdict"] > self._config.correct_above for row in group.rows]
        return verdicts + [False] * (self._config.samples - len(verdicts))

    def _figures(self, prefix: str, groups: Sequence[Played]) -> dict[str, float]:
        n = self._config.samples
        correct = np.array([sum(self.correct(group)) for group in groups], dtype=np.float64)
        low, high = bootstrap_interval(correct / n, seed=0)
        lengths = [row.sampled for group in groups for row in group.rows]
        figures = {
            f"{prefix}/avg": float(correct.mean() / n),
            f"{prefix}/avg_lo": low,
            f"{prefix}/avg_hi": high,
            f"{prefix}/len": float(np.mean(lengths)) if lengths else 0.0,
        }
        ks = [2**i for i in range(1, n.bit_length())]  # powers of two up to n, and n itself
        for k in sorted({*ks, n} - {1}):
            figures[f"{prefix}/pass@{k}"] = float(np.mean([pass_at_k(n, int(c), k) for c in correct]))
        return figures
