"""The job `robots.terrain_table`: every method on every cloud and scene, beside the published table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np

from espalier.core.data import DataRoot
from espalier.core.errors import DataError
from espalier.core.io.files import write_atomic
from espalier.core.report.blocks import Block, Image, Number, Table
from espalier.core.run.run import Run
from espalier.core.study.pieces import made
from espalier.core.study.results import markdown
from espalier.robots.terrain.compare.config import TableConfig
from espalier.robots.terrain.compare.pictures import draw_errors
from espalier.robots.terrain.compare.protocol import circle, judge, scans_of
from espalier.robots.terrain.ground import ground_of
from espalier.robots.terrain.scenes.config import SceneConfig

PUBLISHED: Mapping[str, Mapping[str, tuple[float, float]]] = {
    "hills": {"sgp": (0.2604, 0.0392), "fsgp": (0.2321, 0.0345), "fsgp_bgk": (0.1237, 0.0085)},
    "forest": {"sgp": (0.1831, 0.0245), "fsgp": (0.1777, 0.0227), "fsgp_bgk": (0.1687, 0.0213)},
    "ruin": {"sgp": (0.2003, 0.0239), "fsgp": (0.1965, 0.0219), "fsgp_bgk": (0.1831, 0.0206)},
    "road": {"sgp": (0.1694, 0.0373), "fsgp": (0.1434, 0.0328), "fsgp_bgk": (0.1051, 0.0240)},
    "rooms": {"sgp": (0.2455, 0.0451), "fsgp": (0.2537, 0.0429), "fsgp_bgk": (0.1978, 0.0420)},
}
"""Mean and variance of the error, arXiv 2503.04134, of other clouds of the same kinds; their truth is not stated."""


class Task(NamedTuple):
    """One drive."""

    name: str
    source: str | SceneConfig
    seed: int


Results = Mapping[str, list[dict[str, Any]]]
"""By cloud, for each seed: figures by method."""


def make_table(config: TableConfig, run: Run) -> dict[str, float]:
    """Drive and judge what is missing; each finished drive is a file, which a resumed run skips."""
    found = made(
        run,
        list(_tasks(config, run.seed)),
        lambda task: _drive(config, task, run.data),
        lambda task: run.checkpoints / "drives" / f"{task.name}-{task.seed}.json",
        title="drives",
        tell=lambda task, piece: (f"{task.name}, seed {task.seed}", {"error": piece[config.methods[-1]]["error"]}),
    )
    if run.stop.requested:
        return {}
    results: dict[str, list[dict[str, Any]]] = {}
    for task, piece in found:
        results.setdefault(task.name, []).append(piece)
    return _report(config, run, results)


def _tasks(config: TableConfig, first: int) -> Iterator[Task]:
    names = [*(cloud.rpartition("/")[2] for cloud in config.clouds), *(scene.kind for scene in config.scenes)]
    if len(set(names)) < len(names):
        raise DataError(f"a cloud or a kind of scene is named twice: {', '.join(names)}")
    for cloud in config.clouds:
        yield from (Task(cloud.rpartition("/")[2], cloud, seed) for seed in range(first, first + config.seeds))
    for scene in config.scenes:
        for seed in range(first, first + config.seeds):
            yield Task(scene.kind, scene.model_copy(update={"seed": scene.seed + seed}), seed)


def _drive(config: TableConfig, task: Task, root: DataRoot) -> dict[str, Any]:
    points = ground_of(task.source, root).points
    poses = circle(points, config.scans, config.sensor_height_m)
    scans = scans_of(points, config.lidar, poses, task.seed)
    return {name: asdict(found) for name, found in judge(points, scans, config.methods, config.mapper).items()}


def _report(config: TableConfig, run: Run, results: Results) -> dict[str, float]:
    rows = [[name, *_cells(config, found)] for name, found in results.items()]
    changes = [[name, *_changes(config, found)] for name, found in results.items()]
    columns = ["cloud", *config.methods]
    note = f"mean of |estimate - truth|, and of its variance in a window; {config.scans} scans, {config.seeds} seeds"
    blocks: list[Block] = [
        Table("Error of the cost, 0 to 1", columns, rows, wide=True, note=note),
        Table("Change of the error, %", ["cloud", *_CHANGES], changes),
        Image("Error by scan", f"artefacts/{draw_errors(results, run.artefact)}", wide=True, note="first seed"),
        Table("Milliseconds of an update", columns, [[n, *_times(config, f)] for n, f in results.items()], wide=True),
    ]
    if published := [_published(name, results[name]) for name in results if name in PUBLISHED]:
        note = (
            "ours / published, on other clouds of the same kind and with another truth: orders compare, errors do not"
        )
        blocks.insert(
            1, Table("Beside the published table", ["scene", "sgp", "fsgp", "fsgp_bgk"], published, note=note)
        )
    run.report(blocks)
    write_atomic(run.artefact("table.md"), markdown(columns, rows))
    figures = {
        f"{name}: {method}": _mean(found, method, "error")
        for name, found in results.items()
        for method in config.methods
    }
    return figures | _summary(results)


_CHANGES = {
    "fsgp_bgk against sgp": ("fsgp_bgk", "sgp", "error"),
    "fsgp_bgk against sgp_fair": ("fsgp_bgk", "sgp_fair", "error"),
    "fsgp against sgp": ("fsgp", "sgp", "error"),
    "fsgp against sgp_fair": ("fsgp", "sgp_fair", "error"),
    "fsgp_bgk against fsgp": ("fsgp_bgk", "fsgp", "error"),
    "its variance": ("fsgp_bgk", "fsgp", "variance"),
    "fsgp_bgk against elevation": ("fsgp_bgk", "elevation", "error"),
}


def _changes(config: TableConfig, found: list[dict[str, Any]]) -> list[Number]:
    return [
        100.0 * (_mean(found, ours, what) / _mean(found, theirs, what) - 1.0)
        if {ours, theirs} <= set(config.methods)
        else None
        for ours, theirs, what in _CHANGES.values()
    ]


def _summary(results: Results) -> dict[str, float]:
    """The worst and the mean change over the clouds, where both methods took part."""
    out: dict[str, float] = {}
    for name, (ours, theirs, what) in _CHANGES.items():
        changes = [
            _mean(found, ours, what) / _mean(found, theirs, what) - 1.0
            for found in results.values()
            if {ours, theirs} <= found[0].keys()
        ]
        if changes:
            out |= {f"{name}: mean": float(np.mean(changes)), f"{name}: worst": float(np.max(changes))}
    return out


def _cells(config: TableConfig, found: list[dict[str, Any]]) -> list[str]:
    return [f"{_mean(found, name, 'error'):.4f} / {_mean(found, name, 'variance'):.4f}" for name in config.methods]


def _times(config: TableConfig, found: list[dict[str, Any]]) -> list[Number]:
    return [_mean(found, name, "ms") for name in config.methods]


def _published(name: str, found: list[dict[str, Any]]) -> list[str | Number]:
    theirs = PUBLISHED[name]
    ours = [f"{_mean(found, method, 'error'):.4f}" if method in found[0] else "-" for method in theirs]
    return [name, *(f"{own} / {error:.4f}" for own, (error, _) in zip(ours, theirs.values(), strict=True))]


def _mean(found: list[dict[str, Any]], method: str, what: str) -> float:
    return float(np.mean([one[method][what] for one in found]))
