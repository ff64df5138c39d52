"""The figures of a comparison, averaged over seeds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from espalier.serving.sim.scenario import Scenario

Results = Mapping[Scenario, Mapping[str, Any]]
Setting = tuple[str, str, float]
"""Pool, traffic and load."""


class Averages:
    """Ask it for a figure of an arm in a setting."""

    def __init__(self, results: Results) -> None:
        self._runs: defaultdict[tuple[Setting, str], list[Mapping[str, Any]]] = defaultdict(list)
        for task, found in results.items():
            self._runs[task[:3], task.arm].append(found)
        self.settings: list[Setting] = list(dict.fromkeys(setting for setting, _ in self._runs))

    def of(self, setting: Setting, arm: str, name: str) -> float:
        """The mean; NaN where a seed has none."""
        return _mean([found[name] for found in self._runs[setting, arm]])

    def list_of(self, setting: Setting, arm: str, name: str) -> list[float]:
        """Of a figure that is a list, place by place."""
        return [_mean(values) for values in zip(*(found[name] for found in self._runs[setting, arm]), strict=True)]

    def total(self, setting: Setting, arm: str, name: str) -> int:
        """The sum over seeds."""
        return sum(int(found[name]) for found in self._runs[setting, arm])


def _mean(values: Any) -> float:
    return float(sum(values) / len(values))
