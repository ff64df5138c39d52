"""The job `serving.compare`: schedulers side by side on the same arrivals, and the rows where holding loses."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

from espalier.core.data import DataRoot
from espalier.core.run.run import Run
from espalier.core.seed import derive
from espalier.core.study.pieces import made
from espalier.serving.config import CompareConfig, TrafficConfig
from espalier.serving.figures import figures
from espalier.serving.report import write_report
from espalier.serving.sim.scenario import Scenario, find_trace, run_scenario
from espalier.serving.traces.trace import Trace, cuts


def compare(config: CompareConfig, run: Run) -> dict[str, float]:
    """Simulate what is missing and report. Each finished simulation is a file: a resumed run skips it."""
    traces = {name: find_trace(traffic, run.data) for name, traffic in config.traffic.items()}
    found = made(
        run,
        scenarios(config, run.seed),
        partial(_one, config, run.data, run.seed),
        partial(_file, run.checkpoints / "simulations"),
        title="simulations",
        tell=_tell,
        workers=config.workers,
    )
    if run.stop.requested:
        return {}
    return write_report(config, run, dict(found), traces) | cuts(traces)


def scenarios(config: CompareConfig, first: int) -> list[Scenario]:
    """All simulations of a comparison."""
    seeds = range(first, first + config.seeds)
    return [Scenario(*task) for task in product(config.pools, config.traffic, config.loads, config.arms, seeds)]


@cache
def _trace(config: str, root: DataRoot) -> Trace:
    return find_trace(TrafficConfig.model_validate_json(config), root)


def _one(config: CompareConfig, root: DataRoot, first: int, task: Scenario) -> dict[str, Any]:
    """The figures of a simulation. first: the seed that a timeline is kept of."""
    log, _ = run_scenario(config, task, _trace(config.traffic[task.traffic].model_dump_json(), root))
    return {**task._asdict(), **figures(config, log, task.pool, task.seed == first)}


def _tell(task: Scenario, piece: Mapping[str, Any]) -> tuple[str, dict[str, float]]:
    return f"{task.arm} on {task.traffic}, {task.pool}, load {task.load:g}, seed {task.seed}", {}


def _file(folder: Path, task: Scenario) -> Path:
    """Named so that no two simulations share one, whatever arms and traffics are called."""
    return folder / f"{derive(0, *task):016x}.json"
