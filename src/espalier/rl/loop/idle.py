"""Idle steps, from which nothing can be learned: describes the first and stops the run after too many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from espalier.core.errors import EspalierError
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.trajectory import Trajectory

_SHOWN = 160
"""Characters of an answer that a message shows."""


class NothingToLearnError(EspalierError):
    """Too many consecutive steps had nothing to learn from."""


@dataclass(slots=True)
class IdleWatch:
    """Counts consecutive steps with equal rewards, or without an optimizer step. It has no clock.

    most: number of such steps after which the run ends; 0 for no limit. by_group: rewards are compared within each
    group, or over all rows of the step. correct_above: reward value above which an attempt is right. by_reward: equal
    rewards teach nothing, which is untrue where turns are paid or the user's own function decides. idle: consecutive
    idle steps; solved: those among them in which every attempt was right.
    """

    most: int
    by_group: bool
    correct_above: float
    by_reward: bool = True
    idle: int = 0
    solved: int = 0

    def look(self, step: int, groups: Sequence[ScoredGroup], trained: Mapping[str, float]) -> str | None:
        """Count a step. Returns a message at the first of several idle steps.

        Raises NothingToLearnError at the last one, unless the task is solved.
        """
        rows = [row for group in groups for row in group.judged]
        reason = self._reason(groups, rows, trained)
        if reason is None:
            self.idle = self.solved = 0
            return None
        self.idle += 1
        right = all(row.info.get("verdict", 0.0) > self.correct_above for row in rows)
        self.solved = self.solved + 1 if right else 0
        if self.idle == self.most and not self.ended:
            raise NothingToLearnError(
                f"{self.most} steps in a row had nothing to learn from. Step {step}: {reason}. "
                "Change the rewards, the tasks or the model; stop_after_idle=0 turns this check off."
            )
        return f"nothing to learn from: {reason}" if self.idle == 1 else None

    @property
    def ended(self) -> bool:
        """Whether every attempt of the last `most` steps was right, so that nothing is left to learn."""
        return 0 < self.most <= self.solved

    def save(self) -> dict[str, int]:
        """The counters, for a checkpoint."""
        return {name: value for name, value in asdict(self).items() if name in ("idle", "solved")}

    def _reason(
        self, groups: Sequence[ScoredGroup], rows: Sequence[Trajectory], trained: Mapping[str, float]
    ) -> str | None:
        rewards = {_judged(row) for row in rows}
        if self.by_reward and len(rewards) == 1:
            return f"all {len(rows)} rewards are {rewards.pop():g} ({_components(rows)}); {_first(groups)}"
        if (
            self.by_reward
            and self.by_group
            and all(len({_judged(row) for row in group.judged}) == 1 for group in groups)
        ):
            equal = f"the rewards within each of the {len(groups)} groups are equal"
            return f"{equal} ({_components(rows)}); {_first(groups)}"
        if trained["updates"] == 0.0:
            skipped = trained["grad_skipped"]
            return f"no optimizer step moved the weights ({skipped:.0f} had gradients that were not finite)"
        return None


def _judged(row: Trajectory) -> float:
    """The reward without the penalty of its length, which says nothing about the task."""
    return (row.reward or 0.0) - row.rewards.get("overlong", 0.0)


def _components(rows: Sequence[Trajectory]) -> str:
    """What each reward component gave."""
    parts = []
    for name in dict.fromkeys(name for row in rows for name in row.rewards):
        values = {row.rewards[name] for row in rows if name in row.rewards}
        low, high = min(values), max(values)
        parts.append(f"{name} gave {low:g} to all" if low == high else f"{name} gave {low:g} to {high:g}")
    return ", ".join(parts) or "no component applied"


def _first(groups: Sequence[ScoredGroup]) -> str:
    """The first task's first answer, beside what was expected."""
    group = groups[0]
    expected = f", expected {_short(group.task.answer)}" if group.task.answer else ""
    return f"the first answer: {_short(group.episodes[0].response)}{expected}"


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")
