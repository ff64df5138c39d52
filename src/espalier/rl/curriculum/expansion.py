"""Ratio-EMA expansion of GLM-4.1V-Thinking: how many groups to start, so that enough of them are informative."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from espalier.core.seed import rng
from espalier.rl.curriculum.config import ExpansionConfig
from espalier.rl.rollout.api import ScoredGroup


class Expansion:
    """Chooses the groups of a step among more. A step has a round, and further ones where groups are missing."""

    def __init__(
        self, config: ExpansionConfig, *, seed: int, correct_above: float, saved: Mapping[str, Any] | None = None
    ) -> None:
        """`correct_above`: see `EvaluationConfig`. `saved`: what `save` returned."""
        saved = saved or {}
        self._config = config
        self._seed = seed
        self._correct_above = correct_above
        self._average: float = saved.get("average", 1.0 if config.average == "ratio" else 0.0)
        self._rounds = 0
        """Of this step that have ended."""

    @property
    def factor(self) -> float:
        """Groups to start for each that is wanted."""
        if self._config.average == "ratio":
            return min(self._config.cap, self._average)
        return min(self._config.cap, 1.0 / (1.0 - self._average)) if self._average < 1.0 else self._config.cap

    def extra(self, wanted: int) -> int:
        """Groups to start beyond the `wanted` ones."""
        return math.ceil(wanted * self.factor - 1e-9) - wanted

    def begin(self, wanted: int) -> int:
        """A step begins; returns the number of groups to start beyond the `wanted` ones."""
        self._rounds = 0
        return self.extra(wanted)

    def choose(self, ended: Sequence[ScoredGroup], wanted: int) -> list[ScoredGroup]:
        """Of a round's usable groups, those to train: at most `wanted`, the informative ones closest to half right.

        After the first round of the step, missing ones are filled up with the others.
        """
        informative = [group for group in ended if group.informative]
        if not self._rounds and ended:
            self._update(len(ended), len(informative))
        kept = sorted(informative, key=self._rank)[:wanted]
        if self._rounds:
            kept += [group for group in ended if not group.informative][: wanted - len(kept)]
        self._rounds += 1
        return kept

    def _update(self, started: int, informative: int) -> None:
        decay, cap = self._config.decay, self._config.cap
        if self._config.average == "ratio":
            now = min(cap, started / informative) if informative else cap
        else:
            now = 1.0 - informative / started
        self._average = decay * self._average + (1.0 - decay) * now

    def _rank(self, group: ScoredGroup) -> tuple[float, float]:
        """Distance from half right; equals in random order."""
        right = fmean(row.is_right(self._correct_above) for row in group.judged)
        return abs(right - 0.5), rng(self._seed, "expansion", group.index).random()

    def figures(self, groups: Sequence[ScoredGroup], counts: Mapping[str, int]) -> dict[str, float]:
        """Metrics of a step that trains `groups`. counts: of the groups that were not kept."""
        return {
            "expansion/factor": self.factor,
            "expansion/informative": float(sum(group.informative for group in groups)),
            "expansion/surplus": float(counts["surplus"]),
            "expansion/flat": float(counts["flat"]),
        }

    def save(self) -> dict[str, Any]:
        """Plain data, for a checkpoint between two steps."""
        return {"average": self._average}
