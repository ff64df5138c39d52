"""From the history of metrics to what a chart draws: names resolved, bands joined, long histories thinned."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from espalier.core.tracking.metrics import History, Point

MAX_POINTS = 1200
"""Points drawn for each series: more than a chart has pixels across."""

MAX_CHOSEN = 400
"""Points of each metric that is drawn only when it is chosen."""


def matching(patterns: Sequence[str], names: Iterable[str], *, without: tuple[str, ...] = ()) -> list[str]:
    """The `names` that the patterns ask for, in the patterns' order; a pattern skips names that end in `without`."""
    found: dict[str, None] = {}
    known = sorted(names)
    for pattern in patterns:
        exact = [pattern] if pattern in known else []
        found |= dict.fromkeys(exact or [n for n in known if fnmatchcase(n, pattern) and not n.endswith(without)])
    return list(found)


def curve(history: History, metric: str, band: tuple[str, str]) -> dict[str, Any]:
    """One curve as columns: `steps`, `seconds`, `values`, and `lo` and `hi` where both are logged."""
    points = list(by_step(history[metric]).values())
    points = thin(points)
    columns: dict[str, Any] = {
        "steps": [p.step for p in points],
        "seconds": [round(p.seconds, 1) for p in points],
        "values": [finite(p.value) for p in points],
    }
    lo, hi = (history.get(metric + suffix) for suffix in band)
    if lo and hi:
        for name, bound in (("lo", by_step(lo)), ("hi", by_step(hi))):
            columns[name] = [finite(bound[p.step].value) if p.step in bound else None for p in points]
    return columns


def all_curves(history: History) -> dict[str, Any]:
    """Every metric, thinned to `MAX_CHOSEN` points. Metrics that were logged at the same steps share an axis.

    `axes` holds [steps, seconds]; `series` holds [number of the axis, values] by name.
    """
    axes: dict[tuple[int, ...], int] = {}
    found: dict[str, Any] = {"axes": [], "series": {}}
    for name in sorted(history):
        points = thin(list(by_step(history[name]).values()), MAX_CHOSEN)
        steps = tuple(p.step for p in points)
        if steps not in axes:
            axes[steps] = len(axes)
            found["axes"].append([list(steps), [round(p.seconds, 1) for p in points]])
        found["series"][name] = [axes[steps], [finite(p.value) for p in points]]
    return found


def stack(history: History, metrics: Sequence[str]) -> dict[str, Any]:
    """Magnitudes of several metrics on common steps, averaged within bins where there are many steps."""
    series = {name: by_step(history[name]) for name in metrics}
    steps = sorted({step for points in series.values() for step in points})
    size = max(1, math.ceil(len(steps) / (MAX_POINTS // 4)))
    bins = [steps[i : i + size] for i in range(0, len(steps), size)]
    values = {name: [_mean_magnitude(points, bin) for bin in bins] for name, points in series.items()}
    return {"steps": [bin[-1] for bin in bins], "values": values}


def total(history: History, metric: str) -> float:
    """Sum of the metric's finite values."""
    return math.fsum(p.value for p in history[metric] if math.isfinite(p.value))


def by_step(points: Iterable[Point]) -> Mapping[int, Point]:
    """Points by step, in order; of several at one step the last counts."""
    return dict(sorted((p.step, p) for p in points))


def thin(points: list[Point], limit: int = MAX_POINTS) -> list[Point]:
    """At most about `limit` points: the lowest and highest of each stretch, so that no spike is lost."""
    if len(points) <= limit:
        return points
    size = math.ceil(2 * len(points) / limit)
    kept: list[Point] = []
    for start in range(0, len(points), size):
        stretch = points[start : start + size]
        low, high = min(stretch, key=lambda p: p.value), max(stretch, key=lambda p: p.value)
        kept += sorted({low, high}, key=lambda p: p.step)
    return kept if kept[-1] == points[-1] else [*kept, points[-1]]


def finite(value: float | None) -> float | None:
    """The value to five significant figures, None where it is not finite."""
    return float(f"{value:.5g}") if value is not None and math.isfinite(value) else None


def _mean_magnitude(points: Mapping[int, Point], steps: Sequence[int]) -> float:
    values = [abs(points[s].value) for s in steps if s in points and math.isfinite(points[s].value)]
    return finite(math.fsum(values) / len(values)) or 0.0 if values else 0.0
