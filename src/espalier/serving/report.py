"""The report of a comparison: tables, and pictures of times, loads, ranks and passes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from espalier.core.files import write_atomic
from espalier.core.report.blocks import Block, Image, Number, Table
from espalier.core.run import Run
from espalier.serving.config import CompareConfig
from espalier.serving.pictures import draw
from espalier.serving.sim.scenario import Scenario

Results = Mapping[Scenario, Mapping[str, Any]]
Setting = tuple[str, str, float]
"""Pool, traffic and load."""
Means = Mapping[Setting, Mapping[str, float]]
"""Seconds to the first token, by arm."""
LOSSES = ["pool", "traffic", "load", "arm", "change of the mean, %"]
TAILS = ["pool", "traffic", "load", "arm", "p50", "p90", "p99", "held", "in the engine", "utilisation", "imbalance"]


def write_report(config: CompareConfig, run: Run, results: Results) -> dict[str, float]:
    """Tables and pictures into the run folder; returns the headline figures."""
    means = _means(config, results)
    table = _times(config, means)
    blocks: list[Block] = [
        Table(
            "Mean time to first token, in seconds",
            ["pool", "traffic", "load", *config.arms],
            table,
            wide=True,
            note="change in % against " + ", ".join(config.baselines) + f"; {config.seeds} seeds",
        ),
        Table("Where holding loses", LOSSES, _losses(config, means)),
        Table(
            "Tails and waits",
            TAILS,
            _tails(config, results),
            wide=True,
        ),
    ]
    if config.target is not None:
        blocks.insert(1, _goodput(config, means, config.target))
    for name, title, note in draw(config, results, run.artefact):
        blocks.append(Image(title, f"artefacts/{name}", wide=True, note=note))
    run.report(blocks)
    lines = ["| pool | traffic | load | " + " | ".join(config.arms) + " |", "| --- " * (3 + len(config.arms)) + "|"]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in table]
    write_atomic(run.artefact("table.md"), "\n".join([*lines, ""]))
    return _headline(config, results, means)


def average(config: CompareConfig, results: Results, setting: Setting, arm: str, name: str) -> float:
    """The mean of a figure over seeds."""
    values = [found[name] for task, found in results.items() if task[:3] == setting and task.arm == arm]
    return sum(values) / len(values)


def _means(config: CompareConfig, results: Results) -> dict[Setting, dict[str, float]]:
    settings = dict.fromkeys(task[:3] for task in results)
    return {
        setting: {arm: average(config, results, setting, arm, "ttft_mean") for arm in config.arms}
        for setting in settings
    }


def _times(config: CompareConfig, means: Means) -> list[list[str | Number]]:
    rows: list[list[str | Number]] = []
    for (pool, traffic, load), found in means.items():
        cells = []
        for arm, mean in found.items():
            changes = [f"{100 * (mean / found[base] - 1):+.0f}%" for base in config.baselines if base != arm]
            cells.append(f"{mean:.3f}" + (f" ({', '.join(changes)})" if arm not in config.baselines else ""))
        rows.append([pool, traffic, f"{load:g}", *cells])
    return rows


def _losses(config: CompareConfig, means: Means) -> list[list[str | Number]]:
    base = config.baselines[-1]
    rows: list[list[str | Number]] = []
    for (pool, traffic, load), found in means.items():
        for arm, mean in found.items():
            if arm not in config.baselines and mean > found[base]:
                rows.append([pool, traffic, f"{load:g}", arm, 100 * (mean / found[base] - 1)])
    return rows or [["nowhere", "", "", "", None]]


def _tails(config: CompareConfig, results: Results) -> list[list[str | Number]]:
    names = ("ttft_p50", "ttft_p90", "ttft_p99", "held", "queued", "utilisation", "imbalance")
    settings = dict.fromkeys(task[:3] for task in results)
    return [
        [pool, traffic, f"{load:g}", arm]
        + [average(config, results, (pool, traffic, load), arm, name) for name in names]
        for pool, traffic, load in settings
        for arm in config.arms
    ]


def _goodput(config: CompareConfig, means: Means, target: float) -> Table:
    """The largest load of each arm whose mean stays below the target."""
    best: dict[tuple[str, str], dict[str, float]] = {}
    for (pool, traffic, load), found in means.items():
        for arm, mean in found.items():
            row = best.setdefault((pool, traffic), {})
            if mean <= target:
                row[arm] = max(load, row.get(arm, 0.0))
    rows = [[pool, traffic, *(row.get(arm) for arm in config.arms)] for (pool, traffic), row in best.items()]
    title, columns = f"Goodput: mean first token within {target:g} s", ["pool", "traffic", *config.arms]
    return Table(title, columns, rows, wide=True, note="the largest simulated load below the target")


def _headline(config: CompareConfig, results: Results, means: Means) -> dict[str, float]:
    """Changes of the mean against each baseline, and the worst change of mean and p99 over all settings."""
    figures: dict[str, float] = {}
    worst: dict[str, float] = {}
    for setting, found in means.items():
        pool, traffic, load = setting
        tails = {arm: average(config, results, setting, arm, "ttft_p99") for arm in found}
        for arm, mean in found.items():
            for base in config.baselines if arm not in config.baselines else ():
                change = figures[f"{pool} {traffic} {load:g}: {arm} vs {base}"] = mean / found[base] - 1
                for name, value in (("mean", change), ("p99", tails[arm] / tails[base] - 1)):
                    key = f"worst {name}: {arm} vs {base}"
                    worst[key] = max(value, worst.get(key, value))
    return figures | worst
