"""The report of a study: verdicts, and curves with bands over what was spent.

The curves are metrics of the study's own run, whose steps are units of the axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from espalier.core.report.blocks import Block, Curves, Table
from espalier.core.run.run import Run
from espalier.core.study.config import Axis, StudyConfig
from espalier.core.study.measure import AXES, Curve
from espalier.core.study.results import COLUMNS, table
from espalier.core.study.stats import Estimate, estimate
from espalier.core.study.targets import CellResult, Row

POINTS = 60
"""Of each curve."""
NAMES: Mapping[Axis, str] = {
    "generated_tokens": "generated tokens",
    "forwarded_tokens": "forwarded tokens",
    "cpu_seconds": "CPU seconds",
}
ByArm = Mapping[tuple[Axis, str], Sequence[Curve]]
"""By axis and arm, one a seed."""


def log_curves(run: Run, curves: ByArm) -> None:
    """Log the mean over seeds of each curve, with its 95% interval, at steps that count units of the axis."""
    run.metrics.rewind(-1)
    for (axis, arm), seeds in curves.items():
        name = f"{axis}/{arm}"
        for at, found in averaged(seeds):
            band = {f"{name}_lo": found.low, f"{name}_hi": found.high}
            run.metrics.log(at, {name: found.value} | {key: end for key, end in band.items() if end is not None})


def averaged(seeds: Sequence[Curve]) -> list[tuple[int, Estimate]]:
    """The mean of curves where all of them are known, at whole units of their axis."""
    seeds = [curve for curve in seeds if curve]
    if not seeds:
        return []
    first, last = max(curve[0][0] for curve in seeds), min(curve[-1][0] for curve in seeds)
    grid = sorted({round(at) for at in np.linspace(first, last, POINTS)}) if last >= first else []
    columns = [tuple(np.array(curve).T) for curve in seeds]
    return [(at, estimate([float(np.interp(at, costs, values)) for costs, values in columns])) for at in grid]


def blocks(config: StudyConfig, rows: Sequence[Row], cells: Sequence[CellResult]) -> list[Block]:
    """Verdicts, curves and cells; the study's own axis comes first."""
    axes = sorted(AXES, key=lambda axis: axis != config.axis)
    note = "Mean over seeds with its 95% t interval. Horizontal: {}, summed over the run; evaluations are not counted."
    drawn = [
        Curves(
            f"{config.curve} by {NAMES[axis]}",
            [f"{axis}/{arm}" for arm in config.running],
            labels={f"{axis}/{arm}": arm for arm in config.running},
            wide=axis == config.axis,
            note=note.format(NAMES[axis]),
        )
        for axis in axes
    ]
    listed = [[cell.arm, cell.seed, cell.value, cell.tokens, cell.cpu_seconds] for cell in cells]
    value = config.measure + (f" - {config.minus}" if config.minus else "")
    tokens = NAMES[config.axis if config.axis != "cpu_seconds" else "generated_tokens"]
    return [
        Table("Claims and controls", COLUMNS, table(rows), wide=True, note=f"value: {value}, unless the claim says"),
        *drawn,
        Table("Cells", ["arm", "seed", value, tokens, "CPU seconds"], listed),
    ]
