"""The job `graph.table`: every method on every data set, with the published results."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from time import perf_counter

from espalier.core.data import DataRoot
from espalier.core.io.files import write_atomic
from espalier.core.report.blocks import Number, Table
from espalier.core.run.run import Run
from espalier.core.study.pieces import Found, made
from espalier.core.study.results import markdown
from espalier.core.study.stats import paired_by_seed
from espalier.graph.config import PretrainConfig, TableConfig
from espalier.graph.experiment import run_experiment, use_threads
from espalier.graph.tasks.statistics import Summary, summary

Task = tuple[str, str, PretrainConfig, int]
"""Row, column, recipe and seed."""
Figures = Mapping[str, float]
Results = dict[tuple[str, str], dict[int, Figures]]
"""By cell and seed."""


def make_table(config: TableConfig, run: Run) -> dict[str, float]:
    """Run the missing cells and write the table. Each finished seed of each cell is a file, which a resumed run
    skips.
    """
    folder = config.results or run.checkpoints / "cells"
    tasks = [
        (row, column, recipe, run.seed + k) for row, column, recipe, seeds in config.chosen() for k in range(seeds)
    ]
    begin = partial(use_threads, max(len(os.sched_getaffinity(0)) // config.workers, 1))
    write = partial(_write, config, run)
    found = made(
        run,
        tasks,
        partial(_one, run.data),
        partial(_file, folder),
        title="cells",
        tell=_tell,
        workers=config.workers,
        begin=begin,
        after=write,
    )
    write(found)
    return {f"{row}/{column}": _summary(seeds, "score").mean for (row, column), seeds in _results(found).items()}


def _one(root: DataRoot, task: Task) -> dict[str, float]:
    """The figures, and the seconds that they took."""
    _, _, recipe, seed = task
    begun = perf_counter()
    found = run_experiment(recipe, seed, root=root)
    return {**found, "seconds": round(perf_counter() - begun, 2)}


def _tell(task: Task, found: Figures) -> tuple[str, dict[str, float]]:
    row, column, _, seed = task
    score = 100 * found["score"]
    return f"{row} on {column}, seed {seed}: {score:.2f} in {found['seconds']:.0f} s", {f"{row} on {column}": score}


def _file(folder: Path, task: Task) -> Path:
    row, column, recipe, seed = task
    digest = hashlib.sha256(recipe.model_dump_json(exclude={"seeds", "map"}).encode()).hexdigest()[:12]
    return folder / f"{row}-{column}-{digest}-{seed}.json".replace("/", "_")


def _results(found: Found[Task]) -> Results:
    results: Results = {}
    for (row, column, _, seed), figures in found:
        results.setdefault((row, column), {})[seed] = figures
    return results


def _summary(found: Mapping[int, Figures], name: str) -> Summary:
    return summary([figures[name] for figures in found.values()])


def _write(config: TableConfig, run: Run, found: Found[Task]) -> None:
    scores = _results(found)
    columns = [column for column in config.data if any(key[1] == column for key in scores)]
    rows: list[list[str | Number]] = []
    for row in config.rows:
        if not any(key[0] == row for key in scores):
            continue
        cells = [_cell(config, row, column, scores) for column in columns]
        rows.append([row, *cells])
    note = "mean ± standard deviation over (seeds), in %; final: after the last epoch of the probe; [published]"
    if config.baseline:
        note += f"; against {config.baseline}: mean difference over seeds with its 95% interval"
    run.report([Table(run.name, ["", *columns], rows, wide=True, note=note)])
    write_atomic(run.artefact("table.md"), f"{markdown(['', *columns], rows)}\n{note}\n")


def _cell(config: TableConfig, row: str, column: str, scores: Results) -> str:
    values = scores.get((row, column))
    if not values:
        return ""
    cell = config.rows[row].cells[column]
    own = _summary(values, "score")
    text = f"{own} ({own.n})"
    if all("final" in figures for figures in values.values()) and _summary(values, "final").mean != own.mean:
        text += f", final {_summary(values, 'final')}"
    if cell.published is not None:
        text += f" [{cell.published:g}" + (f" ± {cell.std:g}]" if cell.std is not None else "]")
    base = scores.get((config.baseline, column), {})
    if row != config.baseline and len(values.keys() & base.keys()) > 1:
        gap = paired_by_seed(_scores(values), _scores(base))
        text += f"; {gap.value:+.2f} ({gap.low:+.2f} to {gap.high:+.2f})"
    return text


def _scores(found: Mapping[int, Figures]) -> dict[int, float]:
    """In %, by seed."""
    return {seed: 100 * figures["score"] for seed, figures in found.items()}
