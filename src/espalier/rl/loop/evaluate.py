"""Held-out evaluation. It has its own tasks and the same sampling noise every time, so that evaluations are paired."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from espalier.core.errors import EspalierError
from espalier.envs.api import Task
from espalier.rl.algorithms.evaluation import bootstrap_interval, pass_at_k
from espalier.rl.config import EvaluationConfig
from espalier.rl.loop.budgets import Budgets
from espalier.rl.rollout.api import Player, ScoredGroup

GIVE_UP = 8
"""An evaluation ends with an error if none of the answers to its first so many tasks could be scored."""


class EvaluationError(EspalierError):
    """The evaluation could not measure anything."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of one evaluation. `metrics` have canonical names, `accuracy` is the mean over all tasks.

    failed: attempts that ended with an error, which count as wrong. error: the first of the errors. also: the accuracy
    of each further measurement, by name.
    """

    accuracy: float
    metrics: dict[str, float]
    failed: int = 0
    error: str = ""
    also: dict[str, float] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """A line for the console."""
        failed = f" ({self.failed} attempts failed and count as wrong; the first: {self.error})" if self.failed else ""
        also = "".join(f", {name.replace('_', ' ')} {accuracy:.1%}" for name, accuracy in self.also.items())
        return f"held-out accuracy {self.accuracy:.1%}{also}{failed}"

    @property
    def accuracies(self) -> dict[str, float]:
        """All of them by name, `accuracy` first."""
        return {"accuracy": self.accuracy, **self.also}

    def put(self, figures: dict[str, float]) -> None:
        """Into the results of a run, as `NAME_after`, and as `NAME_before` where that is not known yet."""
        for name, accuracy in self.accuracies.items():
            figures.setdefault(f"{name}_before", accuracy)
            figures[f"{name}_after"] = accuracy


class Evaluator:
    """Evaluates on the same held-out `tasks` each time. The names of its metrics begin with `prefix`."""

    def __init__(
        self,
        player: Player,
        tasks: Sequence[Task],
        config: EvaluationConfig,
        ks: Sequence[int] = (),
        *,
        prefix: str = "eval",
    ) -> None:
        """`ks`: values of k for pass@k; by default powers of two up to `config.samples`, and that itself."""
        self._prefix = prefix
        self._player = player
        self._tasks = list(tasks)
        self._config = config
        n = config.samples
        self._ks = sorted(set(ks)) or sorted({*(2**i for i in range(1, n.bit_length())), n} - {1})

    async def __call__(self) -> Evaluation:
        """avg@n with a 95% bootstrap interval over tasks, pass@k and length, per environment and over all.

        Raises EvaluationError if every attempt failed: early, if answers were sampled but could not be scored.
        """
        return self.summary(await self.play())

    def summary(self, groups: Sequence[ScoredGroup]) -> Evaluation:
        """The figures of the groups that `play` returned."""
        by_env: dict[str, list[ScoredGroup]] = defaultdict(list)
        for group in groups:
            by_env[group.task.env].append(group)
        prefix = self._prefix
        metrics = self._figures(prefix, groups)
        if len(by_env) > 1:
            for env, members in by_env.items():
                metrics |= self._figures(f"{prefix}/{env}", members)
        failed = sum(self._config.samples - len(group.rows) for group in groups)
        error = next((group.errors[-1] for group in groups if len(group.rows) < self._config.samples), "")
        return Evaluation(metrics[f"{prefix}/avg"], metrics, failed, error)

    async def play(self, done: Callable[[int], None] = lambda count: None) -> list[ScoredGroup]:
        """Run all tasks, in order. `done` is called with the number of finished tasks. Raises EvaluationError like a
        call.
        """
        samples = self._config.samples
        plays = [asyncio.create_task(self._player.play(i, task, samples)) for i, task in enumerate(self._tasks)]
        judged, unjudged = False, 0
        try:
            for count, finished in enumerate(asyncio.as_completed(plays), 1):
                group = await finished
                done(count)
                judged |= bool(group.rows)
                unjudged += not group.rows and group.wasted > 0
                if not judged and unjudged == GIVE_UP:
                    raise EvaluationError(f"no answer to {GIVE_UP} held-out tasks could be scored: {group.errors[-1]}")
        finally:
            for play in plays:
                play.cancel()
            await asyncio.gather(*plays, return_exceptions=True)
        groups = [play.result() for play in plays]
        if not judged and groups:
            raise EvaluationError(f"every attempt at the {len(groups)} held-out tasks failed: {groups[0].errors[-1]}")
        return groups

    def correct(self, group: ScoredGroup) -> list[bool]:
        """Whether each attempt is correct; failed attempts count as wrong."""
        if len(group.rows) > self._config.samples:
            raise EvaluationError(
                f"the player gave {len(group.rows)} rows for {self._config.samples} attempts at task {group.task.key}"
            )
        verdicts = [row.is_right(self._config.correct_above) for row in group.rows]
        return verdicts + [False] * (self._config.samples - len(verdicts))

    def _figures(self, prefix: str, groups: Sequence[ScoredGroup]) -> dict[str, float]:
        n = self._config.samples
        correct = np.array([sum(self.correct(group)) for group in groups], dtype=np.float64)
        low, high = bootstrap_interval(correct / n, seed=0)
        lengths = [row.sampled for group in groups for row in group.rows]
        figures = {
            f"{prefix}/avg": float(correct.mean() / n),
            f"{prefix}/avg_lo": low,
            f"{prefix}/avg_hi": high,
            f"{prefix}/failed": sum(n - len(group.rows) for group in groups) / (n * len(groups)),
        }
        if lengths:
            figures[f"{prefix}/len"] = float(np.mean(lengths))
        for k in self._ks:
            figures[f"{prefix}/pass@{k}"] = float(np.mean([pass_at_k(n, int(c), k) for c in correct]))
        return figures


class Evaluations:
    """The held-out evaluation `main`, and further measurements of the same weights by name. `budgets` measures the
    answers of the main one.
    """

    def __init__(self, main: Evaluator, others: Mapping[str, Evaluator], budgets: Budgets | None = None) -> None:
        self.main = main
        self._others = others
        self._budgets = budgets

    async def __call__(self) -> Evaluation:
        """All of them in turn. Raises EvaluationError as an `Evaluator` does."""
        return await self.complete(await self.main.play())

    async def complete(self, groups: Sequence[ScoredGroup]) -> Evaluation:
        """The evaluation of the `groups` that `main` played, with what the others find."""
        evaluation = self.main.summary(groups)
        if self._budgets:
            evaluation = replace(evaluation, metrics=evaluation.metrics | await self._budgets(groups))
        for name, evaluator in self._others.items():
            found = await evaluator()
            evaluation = replace(
                evaluation,
                metrics=evaluation.metrics | found.metrics,
                failed=evaluation.failed + found.failed,
                error=evaluation.error or found.error,
                also=evaluation.also | {name: found.accuracy},
            )
        return evaluation
