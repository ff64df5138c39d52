"""What became of a figure over a run: how much it changed, how sure that is, and whether that is good."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from espalier.core.report.blocks import Headline
from espalier.core.report.series import by_step, finite
from espalier.core.tracking.metrics import History

Verdict = Literal["rose", "fell", "no clear change"]


@dataclass(frozen=True, slots=True)
class Change:
    """From `before` to `after`, with an interval [`lo`, `hi`] of the difference where both values have one.

    Without intervals the sign of the difference decides on `verdict`; with them, an interval that holds 0 is no clear
    change.
    """

    before: float
    after: float
    lo: float | None = None
    hi: float | None = None

    @property
    def verdict(self) -> Verdict:
        """The word for it."""
        low, high = (self.lo, self.hi) if self.lo is not None and self.hi is not None else (self.gain, self.gain)
        if low > 0:
            return "rose"
        return "fell" if high < 0 else "no clear change"

    @property
    def gain(self) -> float:
        """The difference."""
        return self.after - self.before


Estimate = tuple[float, float | None, float | None]
"""A value and its interval, None where it has none."""


def change(first: Estimate, last: Estimate) -> Change:
    """The change between two estimates.

    The interval of the difference is made of the two intervals (Newcombe 1998, method 10): with d = after - before, it
    reaches from d - sqrt((after - after_lo)^2 + (before_hi - before)^2) to
    d + sqrt((after_hi - after)^2 + (before - before_lo)^2). It takes the estimates as independent, so it is wider than
    need be where both come from the same tasks.
    """
    (before, before_lo, before_hi), (after, after_lo, after_hi) = first, last
    if before_lo is None or before_hi is None or after_lo is None or after_hi is None:
        return Change(before, after)
    gain = after - before
    lo = gain - math.hypot(after - after_lo, before_hi - before)
    hi = gain + math.hypot(after_hi - after, before - before_lo)
    return Change(before, after, lo, hi)


def changed(history: History, metric: str, band: tuple[str, str] = ("_lo", "_hi")) -> Change | None:
    """The change of `metric` from its first to its last logged step; None where it has fewer than two."""
    points = by_step(history.get(metric, ()))
    bounds = [by_step(history.get(metric + suffix, ())) for suffix in band]

    def at(step: int) -> Estimate:
        low, high = (bound[step].value if step in bound else None for bound in bounds)
        return points[step].value, low, high

    steps = [step for step, point in points.items() if math.isfinite(point.value)]
    return change(at(steps[0]), at(steps[-1])) if len(steps) > 1 else None


def headline(block: Headline, history: History) -> dict[str, Any] | None:
    """The block as plain data: the change, its word, and `good` (None where there is no clear change)."""
    found = changed(history, block.metric, block.band)
    if found is None:
        return None
    good = None if found.verdict == "no clear change" else (found.verdict == "rose") == block.higher_is_better
    numbers = {name: finite(value) for name, value in asdict(found).items()}
    return {"title": block.title, "percent": block.percent, **numbers, "verdict": found.verdict, "good": good}
