"""What is read of a cell that has finished: its value, its costs and a curve, all from its run folder."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import get_args

from espalier.core.errors import DataError
from espalier.core.io.text import read_object
from espalier.core.study.cells import Cell
from espalier.core.study.config import Axis, StudyConfig
from espalier.core.study.targets import CellResult
from espalier.core.tracking.metrics import History, read_history

AXES: tuple[Axis, ...] = get_args(Axis)
COST = "cost/"
"""Begins the metrics of what a cell has spent so far."""
Curve = list[tuple[float, float]]
"""Cost and value of each point, in order."""
_WAYS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "last": lambda values: values[-1],
    "mean": lambda values: math.fsum(values) / len(values),
    "max": max,
    "min": min,
}


def result_of(config: StudyConfig, cell: Cell, folder: Path) -> CellResult:
    """Raises DataError where the cell has not what the study measures."""
    figures = read_object(folder / "result.json")
    history = read_history(folder / "metrics.jsonl")

    def number(measure: str, minus: str | None) -> float:
        less = 0.0 if minus is None else _number(config, minus, figures, history, folder)
        return _number(config, measure, figures, history, folder) - less

    value = number(config.measure, config.minus)
    others = {name: number(found.measure, found.minus) for name, found in config.measures.items()}
    tokens = config.axis if config.axis != "cpu_seconds" else "generated_tokens"
    return CellResult(cell.arm, cell.seed, value, figures.get(tokens), figures.get("cpu_seconds"), cell.digest, others)


def curve_of(config: StudyConfig, axis: Axis, folder: Path) -> Curve:
    """`config.curve` over `axis`; empty where one of them is not logged."""
    return _curve(read_history(folder / "metrics.jsonl"), config.curve, axis)


def _number(config: StudyConfig, name: str, figures: Mapping[str, float], history: History, folder: Path) -> float:
    metric, colon, way = name.rpartition(":")
    if not colon:
        value = figures.get(name)
        known = ", ".join(sorted(figures))
    elif way not in _WAYS:
        raise DataError(f"measure: {name!r} must end in {', '.join(f':{known}' for known in _WAYS)}")
    else:
        points = [point.value for point in history.get(metric, ())]
        if config.budget is not None:
            points = [value for cost, value in _curve(history, metric, config.axis) if cost <= config.budget]
        value = _WAYS[way](points) if points else None
        known = ", ".join(sorted(history))
    if value is None or not math.isfinite(value):
        raise DataError(f"{folder}: {name} was not found or is not finite; there is {known}")
    return value


def _curve(history: History, metric: str, axis: Axis) -> Curve:
    costs = {point.step: point.value for point in history.get(COST + axis, ())}
    values = {point.step: point.value for point in history.get(metric, ())}
    return sorted((costs[step], value) for step, value in values.items() if step in costs)
