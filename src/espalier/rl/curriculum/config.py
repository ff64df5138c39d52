"""Recipe section `curriculum`. Imports without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, PositiveInt

from espalier.core.config import Config


class ExpansionConfig(Config):
    """Start more groups than a step trains, because groups whose answers are all right or all wrong teach nothing
    (GLM-4.1V-Thinking, arXiv 2507.01006).

    A step starts `groups_per_step` times a factor, and trains the informative groups whose answers are closest to half
    right. Where there are too few, it starts more, once. Groups that are still missing are filled up with the others.
    """

    decay: float = Field(default=0.8, ge=0.0, lt=1.0)
    """Weight of the past in the factor's exponential moving average (default ours, paper value unknown)."""
    cap: float = Field(default=4.0, ge=1.0)
    """Largest factor (default ours)."""
    average: Literal["ratio", "rate"] = "ratio"
    """What is averaged over steps: groups started over informative groups, as in the paper, or the share of the
    others. The mean of ratios is larger than the ratio of means, so `ratio` starts more."""


class CurriculumConfig(Config):
    """Reinforcement learning with curriculum sampling (RLCS; GLM-4.1V-Thinking, arXiv 2507.01006).

    Tasks belong to tiers. Each time a group starts, a task is chosen among `candidates`, with a probability in
    proportion to w = 4 p (1 - p) + `floor`. p is the estimated pass rate of the task. Tasks that are too easy or too
    difficult become rare, and none is lost. The weights are ours, the paper's are not published.
    """

    candidates: PositiveInt = 16
    """Tasks among which one is chosen. With 1, tasks come in their usual order."""
    tier: str = ""
    """Column of the questions that names the tier; by default each task set of a mixture is a tier."""
    decay: float = Field(default=0.7, ge=0.0, lt=1.0)
    """Weight of the past in the exponential moving average of pass rates (default ours, paper value unknown)."""
    floor: float = Field(default=0.05, gt=0.0, le=1.0)
    """Added to every weight; the smallest weight of a task."""
    known: Mapping[str, Annotated[float, Field(ge=0.0, le=1.0)]] = {}
    """Pass rates of tiers before the first step, for example of an earlier evaluation; 0.5 for those not named."""
    online: bool = True
    """Update the estimates from the rollouts of each step. If false, `known` decides for the whole run."""
    guesses: bool = True
    """Subtract what guessing gives: p = max(0, (pass rate - g) / (1 - g)), where g is the guess rate of the task."""
    shuffle_weights: bool = False
    """Negative control: each tier is weighted by the pass rate of another one, and tasks have no estimates of their
    own."""
    expansion: ExpansionConfig | None = None
    """Start more groups than a step trains; null for exactly as many."""
