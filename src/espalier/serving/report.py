"""The report of a comparison: tables, and pictures of times, loads, ranks and passes."""

from __future__ import annotations

import math
from itertools import product

from espalier.core.files import write_atomic
from espalier.core.report.blocks import Block, Image, Table
from espalier.core.run import Run
from espalier.serving import tables
from espalier.serving.averages import Averages, Results
from espalier.serving.config import CompareConfig
from espalier.serving.pictures import draw


def write_report(config: CompareConfig, run: Run, results: Results) -> dict[str, float]:
    """Tables and pictures into the run folder; returns the headline figures."""
    found = Averages(results)
    means = tables.times(config, found)
    blocks: list[Block] = [means]
    if config.targets.given:
        blocks += [tables.goodput(config, found), tables.shares(config, found)]
    blocks += [tables.losses(config, found), tables.tails(config, found)]
    if config.decode is not None:
        blocks.append(tables.answers(config, found))
    blocks.append(tables.fairness(config, found))
    for name, title, note in draw(config, results, run.artefact):
        blocks.append(Image(title, f"artefacts/{name}", wide=True, note=note))
    run.report(blocks)
    write_atomic(run.artefact("table.md"), _markdown(means))
    return _headline(config, found)


def _markdown(table: Table) -> str:
    lines = [table.columns, ["---"] * len(table.columns), *table.rows]
    return "".join("| " + " | ".join(str(cell) for cell in line) + " |\n" for line in lines)


def _headline(config: CompareConfig, found: Averages) -> dict[str, float]:
    """Changes of the mean against each baseline, the worst change of mean and p99 over all settings, and requests that
    never had a first token, which no mean counts.
    """
    figures: dict[str, float] = {}
    worst: dict[str, float] = {}
    arms = [arm for arm in config.arms if arm not in config.baselines]
    for setting, arm, base in product(found.settings, arms, config.baselines):
        pool, traffic, load = setting
        for name in ("mean", "p99"):
            mine, theirs = (found.of(setting, one, f"ttft_{name}") for one in (arm, base))
            if math.isfinite(mine / theirs):
                key = f"worst {name}: {arm} vs {base}"
                worst[key] = max(mine / theirs - 1, worst.get(key, -1.0))
                if name == "mean":
                    figures[f"{pool} {traffic} {load:g}: {arm} vs {base}"] = mine / theirs - 1
    for setting, arm in product(found.settings, config.arms):
        if lost := found.total(setting, arm, "unfinished"):
            pool, traffic, load = setting
            figures[f"{pool} {traffic} {load:g}: {arm} unfinished"] = lost
    return figures | worst
