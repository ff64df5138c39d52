"""The job `graph.table`: every method on every data set, beside the published figures."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from time import perf_counter

from espalier.core.data import DataRoot
from espalier.core.files import sweep, write_atomic, write_json
from espalier.core.report.blocks import Number, Table
from espalier.core.run import Run
from espalier.core.workers import worked
from espalier.graph.config import PretrainConfig, TableConfig
from espalier.graph.experiment import run_experiment, use_threads
from espalier.graph.figures import read_figures
from espalier.graph.tasks.statistics import Summary, paired, summary

Task = tuple[str, str, PretrainConfig, int]
"""Row, column, recipe and seed."""
Figures = Mapping[str, float]
Results = dict[tuple[str, str], dict[int, Figures]]
"""By cell and seed."""


def make_table(config: TableConfig, run: Run) -> dict[str, float]:
    """Run what is missing and write the table. Each finished seed of each cell is a file: a resumed run skips it."""
    folder = config.results or run.checkpoints / "cells"
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    tasks = [
        (row, column, recipe, run.seed + k) for row, column, recipe, seeds in config.chosen() for k in range(seeds)
    ]
    waiting = [task for task in tasks if not _file(folder, task).exists()]
    if len(waiting) < len(tasks):
        run.say(f"{len(tasks) - len(waiting)} of {len(tasks)} results are there already")
    cores = max(len(os.sched_getaffinity(0)), 1)
    one, begin = partial(_one, folder, run.data), partial(use_threads, max(cores // config.workers, 1))
    ended = worked(waiting, one, config.workers, lambda: run.stop.requested, begin)
    with run.progress(len(tasks), "cells") as progress:
        progress.update(len(tasks) - len(waiting), {})
        for done, (task, seconds) in enumerate(ended, 1):
            score = 100 * read_figures(_file(folder, task))["score"]
            progress.update(len(tasks) - len(waiting) + done, {f"{task[0]} on {task[1]}": score})
            progress.note(f"{task[0]} on {task[1]}, seed {task[3]}: {score:.2f} in {seconds:.0f} s")
            _write(config, run, folder)
    _write(config, run, folder)
    return _figures(config, folder, run.seed)


def _one(folder: Path, root: DataRoot, task: Task) -> float:
    """Run and write; the seconds that it took."""
    _, _, recipe, seed = task
    begun = perf_counter()
    found = run_experiment(recipe, seed, root=root)
    seconds = perf_counter() - begun
    write_json(_file(folder, task), {**found, "seconds": round(seconds, 2)})
    return seconds


def _file(folder: Path, task: Task) -> Path:
    row, column, recipe, seed = task
    digest = hashlib.sha256(recipe.model_dump_json(exclude={"seeds", "map"}).encode()).hexdigest()[:12]
    return folder / f"{row}-{column}-{digest}-{seed}.json".replace("/", "_")


def _results(config: TableConfig, folder: Path, first: int) -> Results:
    """The figures of each finished seed of each cell."""
    found: Results = {}
    for row, column, recipe, seeds in config.chosen():
        for seed in range(first, first + seeds):
            file = _file(folder, (row, column, recipe, seed))
            if file.exists():
                found.setdefault((row, column), {})[seed] = read_figures(file)
    return found


def _figures(config: TableConfig, folder: Path, first: int) -> dict[str, float]:
    results = _results(config, folder, first)
    return {f"{row}/{column}": _summary(found, "score").mean for (row, column), found in results.items()}


def _summary(found: Mapping[int, Figures], name: str) -> Summary:
    return summary([figures[name] for figures in found.values()])


def _write(config: TableConfig, run: Run, folder: Path) -> None:
    scores = _results(config, folder, run.seed)
    columns = [column for column in config.data if any(key[1] == column for key in scores)]
    rows: list[list[str | Number]] = []
    lines = ["| | " + " | ".join(columns) + " |", "| --- |" + " --- |" * len(columns)]
    for row in config.rows:
        if not any(key[0] == row for key in scores):
            continue
        cells = [_cell(config, row, column, scores) for column in columns]
        rows.append([row, *cells])
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    note = "mean ± standard deviation over (seeds), in %; final: after the last epoch of the probe; [published]"
    if config.baseline:
        note += f"; against {config.baseline}: mean difference over seeds with its 95% interval"
    run.report([Table(run.name, ["", *columns], rows, wide=True, note=note)])
    write_atomic(run.artefact("table.md"), "\n".join([*lines, "", note, ""]))


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
    both = sorted(values.keys() & base.keys())
    if row != config.baseline and len(both) > 1:
        gap = paired([values[s]["score"] for s in both], [base[s]["score"] for s in both])
        text += f"; {100 * gap.difference:+.2f} ({100 * gap.low:+.2f} to {100 * gap.high:+.2f})"
    return text
