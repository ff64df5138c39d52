"""The report of a comparison: tables, and pictures of times, loads, ranks and passes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import product

from espalier.core.io.files import write_atomic
from espalier.core.report.blocks import Block, Image, Table
from espalier.core.run.run import Run
from espalier.serving import maps, tables
from espalier.serving.averages import Averages, Results
from espalier.serving.config import CompareConfig
from espalier.serving.pictures import draw
from espalier.serving.traces.trace import Trace


def write_report(config: CompareConfig, run: Run, results: Results, traces: Mapping[str, Trace]) -> dict[str, float]:
    """Tables and pictures into the run folder; returns the headline figures. traces: by traffic."""
    found = Averages(results)
    means = tables.times(config, found)
    blocks: list[Block] = [means]
    if config.targets.given:
        blocks += [tables.goodput(config, found), tables.shares(config, found)]
    charts = list(maps.tables(config, found))
    blocks += [*charts, tables.losses(config, found), tables.tails(config, found)]
    if config.decode is not None:
        blocks.append(tables.answers(config, found))
    blocks.append(tables.fairness(config, found))
    blocks += tables.remarks(traces)
    for name, title, note in draw(config, results, run.artefact):
        blocks.append(Image(title, f"artefacts/{name}", wide=True, note=note))
    run.report(blocks)
    write_atomic(run.artefact("table.md"), _markdown(means))
    if charts:
        write_atomic(run.artefact("map.md"), "\n".join(f"{one.title}:\n\n{_markdown(one)}" for one in charts))
    return _headline(config, found)


def _markdown(table: Table) -> str:
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


def _headline(config: CompareConfig, found: Averages) -> dict[str, float]:
    """Of each arm that holds, against each baseline: the change of the mean over all settings, and the worst of mean
    and p99 (negative is better); and how many requests of an arm never had a first token, which no mean counts.
    """
    figures: dict[str, float] = {}
    arms = [name for name, arm in config.arms.items() if arm.holds and name not in config.baselines]
    for arm, base in product(arms, config.baselines):
        changes = {
            name: [
                found.of(one, arm, f"ttft_{name}") / found.of(one, base, f"ttft_{name}") - 1 for one in found.settings
            ]
            for name in ("mean", "p99")
        }
        known = {name: [change for change in some if math.isfinite(change)] for name, some in changes.items()}
        if known["mean"]:
            figures[f"{arm} vs {base}: change of the mean"] = sum(known["mean"]) / len(known["mean"])
            figures[f"{arm} vs {base}: at worst"] = max(known["mean"])
            figures[f"{arm} vs {base}: p99 at worst"] = max(known["p99"])
    for arm in config.arms:
        if lost := sum(found.total(one, arm, "unfinished") for one in found.settings):
            figures[f"{arm}: unfinished"] = lost
    return figures
