"""The job `core.study`: run the cells, judge the claims, write the result file and the report."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from espalier.core.errors import RunError
from espalier.core.io.files import write_atomic
from espalier.core.io.text import read_object
from espalier.core.run.run import Run
from espalier.core.study.cells import Cell, House, cells_of
from espalier.core.study.config import StudyConfig
from espalier.core.study.measure import AXES, curve_of, result_of
from espalier.core.study.report import blocks, log_curves
from espalier.core.study.results import COLUMNS, Results, commit_of, markdown, results, table, write_results
from espalier.core.study.run import Cells, finished
from espalier.core.study.targets import CellResult, Row, Verdict, judge


def study(config: StudyConfig, run: Run, house: House) -> dict[str, float]:
    """Returns the value of each claim and control, and how many have which verdict.

    Writes `artefacts/results.json` and `artefacts/table.md`. A study that is asked to stop returns nothing; a resume
    runs the cells that are missing. Raises ConfigError, before any cell runs, where the recipe of one is wrong.
    """
    config = config.chosen()
    cells = cells_of(config, run.seed, house)
    folder = config.cache or run.checkpoints / "cells"
    run.say(f"arms: {', '.join(config.running)}; seeds: {config.seeds}; cells, warm starts among them: {len(cells)}")
    Cells(config, run, cells, folder, house.program).work()
    if run.stop.requested:
        return {}
    found = [(cell, _folder(folder, cell)) for cell in cells if not cell.is_warm]
    values = [result_of(config, cell, path) for cell, path in found]
    rows = judge(config, values)
    environment = read_object(run.path / "environment.json")
    others = {commit_of(read_object(path / "environment.json")) for _, path in found} - {commit_of(environment)}
    if others:
        run.say(f"warning: some cells were run by other versions of the source: {', '.join(sorted(others))}")
    whole = results(rows, values, environment, run.seconds)
    _write(config, run, whole)
    log_curves(
        run,
        {
            (axis, arm): [curve_of(config, axis, path) for cell, path in found if cell.arm == arm]
            for axis in AXES
            for arm in config.running
        },
    )
    _report(config, run, rows, values)
    counts = {verdict: float(sum(row.verdict == verdict for row in rows)) for verdict in get_args(Verdict)}
    return {row.name: row.value for row in rows} | counts


def _folder(folder: Path, cell: Cell) -> Path:
    path = finished(folder, cell)
    if path is None:
        raise RunError(f"{folder / cell.name}: the cell has gone; a resume runs it again")
    return path


def _write(config: StudyConfig, run: Run, whole: Results) -> None:
    write_results(run.artefact("results.json"), whole)
    if config.out is not None:
        write_results(config.out, whole)


def _report(config: StudyConfig, run: Run, rows: Sequence[Row], values: Sequence[CellResult]) -> None:
    shown = table(rows)
    write_atomic(run.artefact("table.md"), markdown(COLUMNS, shown))
    run.report(blocks(config, rows, values))
    for name, kind, value, interval, target, seeds, verdict in shown:
        said = f"{value} ({interval or 'no interval'}), target {target}, seeds {seeds}"
        run.say(f"{verdict}: {kind} {name!r}: {said}")
