"""Which traffic profits: the change of an arm that holds against a baseline, as a map of traffic and load."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from espalier.core.report.blocks import Number, Table
from espalier.serving.averages import Averages
from espalier.serving.config import CompareConfig

STATISTICS = {"mean": "ttft_mean", "p99": "ttft_p99"}
FULL = 40.0
"""Percent at which colours are full."""


def changes(config: CompareConfig, found: Averages, pool: str, arm: str, name: str) -> npt.NDArray[np.float64]:
    """(traffics, loads) changes in percent against the last baseline; negative is better."""

    def seconds(of: str) -> npt.NDArray[np.float64]:
        cells = [found.of((pool, *cell), of, name) for cell in product(config.traffic, config.loads)]
        return np.array(cells).reshape(len(config.traffic), len(config.loads))

    return 100.0 * (seconds(arm) / seconds(config.baselines[-1]) - 1.0)


def tables(config: CompareConfig, found: Averages) -> Iterator[Table]:
    """The range of each traffic, and the maps in numbers, where there are several traffics and loads to compare."""
    if not _wide(config):
        return
    yield _ranges(config, found)
    for what, name in STATISTICS.items():
        rows: list[list[str | Number]] = []
        for pool, arm in product(config.pools, _arms(config)):
            for traffic, row in zip(config.traffic, changes(config, found, pool, arm, name), strict=True):
                rows.append([pool, traffic, arm, *(f"{value:+.0f}%" for value in row)])
        title = f"Change of the {what} time to first token against {config.baselines[-1]}"
        yield Table(title, ["pool", "traffic", "policy", *(f"{load:g}" for load in config.loads)], rows, wide=True)


def _ranges(config: CompareConfig, found: Averages) -> Table:
    """From the best to the worst cell of each traffic, over pools and loads."""
    rows: list[list[str | Number]] = []
    for number, traffic in enumerate(config.traffic):
        cells: list[str | Number] = [traffic]
        for arm, name in product(_arms(config), STATISTICS.values()):
            values = np.concatenate([changes(config, found, pool, arm, name)[number] for pool in config.pools])
            cells.append(f"{values.min():+.0f} to {values.max():+.0f}%")
        rows.append(cells)
    columns = ["traffic", *(f"{arm}, {what}" for arm, what in product(_arms(config), STATISTICS))]
    title = f"Change of the time to first token against {config.baselines[-1]}: the best and the worst cell"
    return Table(title, columns, rows, wide=True)


def draw_maps(config: CompareConfig, found: Averages) -> Iterator[tuple[str, str, Any]]:
    """File, title and figure of each pool's map, where there is one."""
    from matplotlib import pyplot as plt

    arms = _arms(config)
    for pool in config.pools if _wide(config) else ():
        size = (2.6 + 3.6 * len(arms), 1.2 + 0.62 * len(config.traffic))
        figure, axes = plt.subplots(
            len(STATISTICS), len(arms), figsize=size, squeeze=False, sharex=True, sharey=True, layout="constrained"
        )
        for (what, name), row in zip(STATISTICS.items(), axes, strict=True):
            for arm, axis in zip(arms, row, strict=True):
                _map(axis, changes(config, found, pool, arm, name), config)
                axis.set_title(f"{arm}: {what}", fontsize=10)
        figure.supxlabel("load", fontsize=10)
        title = f"Change of the time to first token against {config.baselines[-1]}, in %: {pool}"
        yield f"map_{pool}.svg", title, figure


def _map(axis: Any, values: npt.NDArray[np.float64], config: CompareConfig) -> None:
    axis.imshow(values, cmap="RdBu_r", vmin=-FULL, vmax=FULL, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        ink = "white" if abs(value) > 0.6 * FULL else "black"
        axis.text(column, row, f"{value:+.0f}", ha="center", va="center", fontsize=8, color=ink)
    axis.set_xticks(range(len(config.loads)), [f"{load:g}" for load in config.loads], fontsize=8)
    axis.set_yticks(range(len(config.traffic)), list(config.traffic), fontsize=8)


def _wide(config: CompareConfig) -> bool:
    return len(config.traffic) > 1 and len(config.loads) > 1 and bool(_arms(config))


def _arms(config: CompareConfig) -> list[str]:
    return [name for name, arm in config.arms.items() if arm.holds and name not in config.baselines]
