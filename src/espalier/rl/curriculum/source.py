"""A source of tasks that prefers those of middle difficulty."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import Any

from espalier.core.errors import ConfigError
from espalier.core.seed import rng
from espalier.envs.api import Task, TaskSet
from espalier.rl.curriculum.config import CurriculumConfig
from espalier.rl.curriculum.difficulty import Difficulty, weight
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.trajectory import Status, Trajectory


class CurriculumSource:
    """Implements `espalier.rl.loop.source.Source`: see `CurriculumConfig`.

    Equal seeds and equal rollouts give equal tasks.
    """

    def __init__(
        self,
        tasks: TaskSet,
        config: CurriculumConfig,
        *,
        seed: int,
        guesses: Mapping[str, float],
        correct_above: float,
        cursor: int = 0,
        saved: Mapping[str, Any] | None = None,
    ) -> None:
        """`guesses`: the guess rate of each task set. `correct_above`: see `EvaluationConfig`. `cursor`, `saved`: those
        of a checkpoint.

        Raises ConfigError if `config` knows tiers that are not there.
        """
        if not config.tier and (unknown := sorted(set(config.known) - set(guesses))):
            raise ConfigError(f"curriculum.known: there is no task set {unknown[0]!r}; there are {', '.join(guesses)}")
        saved = saved or {}
        self._tasks = tasks
        self._config = config
        self._seed = seed
        self._guesses = guesses
        self._correct_above = correct_above
        self.cursor = cursor
        self._seen: int = saved.get("seen", 0)
        """Candidates looked at."""
        self._issued: dict[int, int] = {int(index): place for index, place in saved.get("issued", {}).items()}
        """Of the groups that have not ended: which task they play."""
        self._difficulty = Difficulty(config.decay, config.known, saved.get("difficulty"))
        self._started: dict[str, int] = dict(saved.get("started", {}))
        """Groups of each tier that started since the last step."""

    def next(self) -> tuple[int, Task]:
        """See `Source`."""
        index, first = self.cursor, self._seen
        self.cursor += 1
        self._seen += self._config.candidates
        candidates = [self._tasks.task("train", first + place) for place in range(self._config.candidates)]
        (chosen,) = rng(self._seed, "curriculum", index).choices(
            range(len(candidates)), [self._weight(task) for task in candidates]
        )
        self._issued[index] = first + chosen
        tier = self._tier(candidates[chosen])
        self._started[tier] = self._started.get(tier, 0) + 1
        return index, candidates[chosen]

    def again(self, index: int) -> tuple[int, Task]:
        """See `Source`."""
        return index, self._tasks.task("train", self._issued[index])

    def learn(self, group: ScoredGroup) -> None:
        """See `Source`."""
        self._issued.pop(group.index, None)
        judged = [row for row in group.judged if _free(row)]
        if judged and self._config.online:
            rate = fmean(row.is_right(self._correct_above) for row in judged)
            self._difficulty.see(self._tier(group.task), rate, self._key(group.task))

    def advance(self) -> dict[str, float]:
        """See `Source`: the estimated pass rate of each tier, and its share of the groups that started."""
        self._difficulty.advance()
        total = sum(self._started.values())
        figures = {f"curriculum/{tier}/share": count / total for tier, count in self._started.items()}
        figures |= {f"curriculum/{tier}/rate": rate for tier, rate in self._difficulty.tiers.items()}
        self._started.clear()
        return figures

    def save(self) -> dict[str, Any]:
        """See `Source`."""
        return {
            "seen": self._seen,
            "issued": {str(index): place for index, place in self._issued.items()},
            "started": self._started,
            "difficulty": self._difficulty.save(),
        }

    def _weight(self, task: Task) -> float:
        guess = self._guesses[task.env] if self._config.guesses else 0.0
        tier = self._tier(task)
        if self._config.shuffle_weights:
            tier = self._other(tier)
            return weight(self._difficulty.rate(tier), guess, self._config.floor)
        return weight(self._difficulty.rate(tier, self._key(task)), guess, self._config.floor)

    def _other(self, tier: str) -> str:
        """The tier whose weight `tier` has in the control: the next one in a random order."""
        names = sorted(self._guesses if not self._config.tier else self._difficulty.tiers)
        if tier not in names:
            return tier
        rng(self._seed, "curriculum", "shuffle").shuffle(names)
        return names[(names.index(tier) + 1) % len(names)]

    def _tier(self, task: Task) -> str:
        if not self._config.tier or not task.info:
            return task.env
        if self._config.tier not in task.info:
            raise ConfigError(
                f"curriculum.tier: {task.source} has no column {self._config.tier!r}; it has {', '.join(task.info)}"
            )
        return str(task.info[self._config.tier])

    @staticmethod
    def _key(task: Task) -> str:
        """Of a task that may come again, because it was read from a file."""
        return task.key if task.source else ""


def _free(row: Trajectory) -> bool:
    """Whether the row says how difficult its task is: its answer was not forced, nor chosen by a search."""
    return row.origin is None and row.status != Status.ABORTED and not row.info.get("forced", False)
