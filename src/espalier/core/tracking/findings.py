"""What the metrics of a run say about its health, in words: findings, and what rules that look for them share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean

from espalier.core.tracking.metrics import History

WINDOW = 20
"""Logged steps at either end of a run of which rules compare the means (ours)."""
LEAST = 5
"""Fewer logged steps say nothing (ours)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """`what` is wrong, the `evidence`, and `advice` on what to do. `rule`: the name of what found it."""

    rule: str
    what: str
    evidence: str
    advice: str


Rule = Callable[[History], Finding | None]


def values(history: History, metric: str) -> list[float]:
    """The finite values of a metric, in the order of their steps; of several at a step, the last."""
    points = {point.step: point.value for point in history.get(metric, ())}
    return [points[step] for step in sorted(points) if math.isfinite(points[step])]


def latest(history: History, metric: str, least: int = LEAST) -> float | None:
    """Mean over the last `WINDOW` values; None where there are fewer than `least`."""
    found = values(history, metric)
    return fmean(found[-WINDOW:]) if len(found) >= least else None


def ends(history: History, metric: str, window: int = WINDOW) -> tuple[Sequence[float], Sequence[float]] | None:
    """The first and the last values, at most `window` of each and none in both; None where there are too few."""
    found = values(history, metric)
    count = min(window, len(found) // 2)
    return (found[:count], found[-count:]) if count >= LEAST else None


def total(history: History, metric: str) -> float:
    """Sum over all steps."""
    return math.fsum(values(history, metric))


def not_finite(history: History) -> Finding | None:
    """Metrics that were logged as NaN or infinite."""
    first = {
        name: min(point.step for point in points if not math.isfinite(point.value))
        for name, points in sorted(history.items())
        if not all(math.isfinite(point.value) for point in points)
    }
    if not first:
        return None
    some = ", ".join(f"{name} at step {step}" for name, step in list(first.items())[:3])
    more = f", and {len(first) - 3} more" if len(first) > 3 else ""
    return Finding(
        "not_finite",
        "metrics are not finite",
        f"NaN or infinite, at first: {some}{more}",
        "look at the steps before: a rising grad_norm or ratio/max, or a reward that divides by 0. A lower learning "
        "rate helps against the first",
    )
