"""The job `robots.formation_table`: every method in every case."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from espalier.core.io.files import write_atomic
from espalier.core.report.blocks import Block, Image, Number, Table
from espalier.core.run.run import Run
from espalier.core.seed import derive
from espalier.core.study.pieces import made
from espalier.core.study.results import markdown
from espalier.robots.swarm.compare.config import TableConfig, Way
from espalier.robots.swarm.compare.pictures import draw_cases
from espalier.robots.swarm.fleet.figures import figures
from espalier.robots.swarm.fleet.simulate import simulate

SHOWN = {
    "error_percent": "error, %",
    "error_percent_end": "in the end, %",
    "scale_least": "least scale",
    "travelled_share": "way",
    "success": "success",
    "without_slot": "no slot",
    "least_separation_m": "separation, m",
    "least_clearance_m": "clearance, m",
    "touches": "touches",
    "touches_adrift": "of those adrift",
    "rejoined_share": "rejoined",
    "plan_ms_median": "plan, ms",
    "plan_ms_p95": "p95",
    "plan_ms_most": "most",
    "flag_precision": "flags: precision",
    "flag_recall": "recall",
}
LEAST = ("scale_least", "least_separation_m", "least_clearance_m")
MOST = ("plan_ms_most",)
SUM = ("without_slot", "touches", "touches_adrift")
"""Figures of which the least of the seeds is shown, or the greatest, or their sum; of the others the mean."""
Averages = Mapping[tuple[str, Way], Mapping[str, float]]
"""By case and method."""


class Task(NamedTuple):
    """One flight."""

    case: str
    method: Way
    seed: int


def make_table(config: TableConfig, run: Run) -> dict[str, float]:
    """Fly what is missing and report. Each finished flight is a file, which a resumed run skips."""
    seeds = range(run.seed, run.seed + config.seeds)
    pieces = made(
        run,
        [Task(*one) for one in product(config.cases, config.methods, seeds)],
        partial(_fly, config),
        partial(_file, run.checkpoints / "flights"),
        title="flights",
        tell=_tell,
        workers=config.workers,
    )
    if run.stop.requested:
        return {}
    found = {task: piece["figures"] for task, piece in pieces}
    averages = {
        (case, method): _average([found[Task(case, method, seed)] for seed in seeds])
        for case, method in product(config.cases, config.methods)
    }
    return _report(config, run, averages)


def _fly(config: TableConfig, task: Task) -> dict[str, Any]:
    """The task and its figures; those that are not finite become None."""
    found = figures(simulate(config.flight(task.case, task.method), task.seed))
    return {**task._asdict(), "figures": {name: value if np.isfinite(value) else None for name, value in found.items()}}


def _tell(task: Task, piece: Mapping[str, Any]) -> tuple[str, dict[str, float]]:
    error = math.nan if piece["figures"]["error_percent"] is None else piece["figures"]["error_percent"]
    return f"{task.method}, {task.case}, seed {task.seed}: error {error:.2f}%", {"error_percent": error}


def _file(folder: Path, task: Task) -> Path:
    return folder / f"{derive(0, *task):016x}.json"


def _average(found: list[Mapping[str, float | None]]) -> dict[str, float]:
    """Of the seeds; of a figure that one of them lacks there is none."""
    out: dict[str, float] = {}
    for name in SHOWN:
        values = [value for one in found if (value := one.get(name)) is not None]
        if len(values) == len(found):
            how = min if name in LEAST else max if name in MOST else sum if name in SUM else np.mean
            out[name] = float(how(values))
    return out


def _report(config: TableConfig, run: Run, averages: Averages) -> dict[str, float]:
    picture = draw_cases(averages, list(config.cases), config.methods, run.artefact)
    note = f"{config.seeds} seeds: means; the least scale, separation and clearance; all touches and all without a slot"
    blocks: list[Block] = [Image("All cases", f"artefacts/{picture}", wide=True)]
    lines: list[str] = []
    for case in config.cases:
        rows = [[method, *_cells(averages[case, method])] for method in config.methods]
        blocks.append(Table(case, ["method", *SHOWN.values()], rows, wide=True, note=note))
        lines += [f"**{case}**", "", markdown(["method", *SHOWN.values()], rows)]
    run.report(blocks)
    write_atomic(run.artefact("table.md"), "\n".join(lines))
    return {
        f"{case}: {method}: {name}": averages[case, method][name]
        for case, method in averages
        for name in ("error_percent", "travelled_share", "touches")
        if name in averages[case, method]
    }


def _cells(average: Mapping[str, float]) -> list[Number]:
    return [average.get(name) for name in SHOWN]
