"""The job `serving.decode`: decode placements side by side."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count, product

import numpy as np

from espalier.core.report.blocks import Number, Table
from espalier.core.run.run import Run
from espalier.core.seed import np_rng
from espalier.serving.config import DecodeConfig
from espalier.serving.core.decode import DecodePlacement
from espalier.serving.core.types import Request
from espalier.serving.sim.decode import DecodeSimulation
from espalier.serving.sim.scenario import find_trace
from espalier.serving.tables import remarks
from espalier.serving.traces.trace import Trace, cuts


def decode(config: DecodeConfig, run: Run) -> dict[str, float]:
    """Throughput of each placement, and its gain over the first, means over seeds."""
    first = config.placements[0]
    rows: list[list[str | Number]] = []
    figures: dict[str, float] = {}
    traces = {name: find_trace(traffic, run.data) for name, traffic in config.traffic.items()}
    cells = list(product(config.traffic, config.at_once))
    with run.progress(len(cells), "settings") as progress:
        for done, (name, at_once) in enumerate(cells, 1):
            found = dict.fromkeys(config.placements, 0.0)
            steps = dict(found)
            for seed, placement in product(range(run.seed, run.seed + config.seeds), config.placements):
                requests = _drawn(traces[name], np_rng(seed, "lengths"), at_once + 4 * config.steps * at_once // 100)
                simulation = DecodeSimulation(config.ranks, config.decode, DecodePlacement(placement, config.decode))
                result = simulation.closed(requests, at_once, config.steps, config.steps)
                found[placement] += result.throughput / config.seeds
                steps[placement] += result.seconds / result.steps / config.seeds
            for placement, throughput in found.items():
                gain = throughput / found[first] - 1
                rows.append([name, at_once, placement, throughput, 1000 * steps[placement], 100 * gain])
                if placement != first:
                    figures[f"{name}, {at_once}: {placement}"] = gain
            progress.update(done, {"gain of the last, %": 100 * gain})
            if run.stop.requested:
                return {}
    columns = ["traffic", "requests", "placement", "tokens/s", "step, ms", f"gain over {first}, %"]
    note = f"{config.ranks} ranks, {config.seeds} seeds"
    run.report([Table("Decode throughput", columns, rows, wide=True, note=note), *remarks(traces)])
    return figures | cuts(traces)


def _drawn(trace: Trace, rng: np.random.Generator, number: int) -> Iterator[Request]:
    """Requests without end, as long as those of the trace; `number` at a time."""
    ids = count()
    while True:
        for row in rng.integers(len(trace), size=number).tolist():
            yield Request(next(ids), 0.0, int(trace.prompt[row]), max(int(trace.output[row]), 1))
