"""The job `serving.compare`: schedulers side by side on the same arrivals, and the rows where holding loses."""

from __future__ import annotations

from functools import cache, partial
from itertools import product
from pathlib import Path
from time import perf_counter
from typing import Any

from espalier.core.data import DataRoot
from espalier.core.pieces import has_piece, read_piece, write_piece
from espalier.core.run import Run
from espalier.core.seed import derive
from espalier.core.workers import worked
from espalier.serving.config import CompareConfig, TrafficConfig
from espalier.serving.figures import figures
from espalier.serving.report import write_report
from espalier.serving.sim.scenario import Scenario, find_trace, run_scenario
from espalier.serving.traces.trace import Trace, cuts

Results = dict[Scenario, dict[str, Any]]


def compare(config: CompareConfig, run: Run) -> dict[str, float]:
    """Simulate what is missing and report. Each finished simulation is a file: a resumed run skips it."""
    folder = run.checkpoints / "simulations"
    folder.mkdir(parents=True, exist_ok=True)
    traces = {name: find_trace(traffic, run.data) for name, traffic in config.traffic.items()}
    tasks = scenarios(config, run.seed)
    waiting = [task for task in tasks if not has_piece(_file(folder, task), run.say)]
    begun, simulated = perf_counter(), 0
    one = partial(_one, config, run.data, folder, run.seed)
    with run.progress(len(tasks), "simulations") as progress:
        progress.update(len(tasks) - len(waiting), {})
        for done, (task, requests) in enumerate(worked(waiting, one, config.workers, lambda: run.stop.requested), 1):
            simulated += requests
            pace = simulated / (perf_counter() - begun) / 1000
            progress.update(len(tasks) - len(waiting) + done, {"thousand requests/s": pace})
            progress.note(f"{task.arm} on {task.traffic}, {task.pool}, load {task.load:g}, seed {task.seed}")
    if run.stop.requested:
        return {}
    results = {task: read_piece(_file(folder, task)) for task in tasks}
    return write_report(config, run, results, traces) | cuts(traces)


def scenarios(config: CompareConfig, first: int) -> list[Scenario]:
    """All simulations of a comparison."""
    seeds = range(first, first + config.seeds)
    return [Scenario(*task) for task in product(config.pools, config.traffic, config.loads, config.arms, seeds)]


@cache
def _trace(config: str, root: DataRoot) -> Trace:
    return find_trace(TrafficConfig.model_validate_json(config), root)


def _one(config: CompareConfig, root: DataRoot, folder: Path, first: int, task: Scenario) -> int:
    """Simulate and write; the requests that there were. first: the seed that a timeline is kept of."""
    log, _ = run_scenario(config, task, _trace(config.traffic[task.traffic].model_dump_json(), root))
    write_piece(_file(folder, task), {**task._asdict(), **figures(config, log, task.pool, task.seed == first)})
    return len(log.requests)


def _file(folder: Path, task: Scenario) -> Path:
    """Named so that no two simulations share one, whatever arms and traffics are called."""
    return folder / f"{derive(0, *task):016x}.json"
