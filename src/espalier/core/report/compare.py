"""One page about several runs: their curves over each other, what differs in their settings, results and samples."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from espalier.core.errors import RunError
from espalier.core.io.text import read_object
from espalier.core.recipe.layers import dotted_name
from espalier.core.recipe.resolve import leaves
from espalier.core.report import blocks as b
from espalier.core.report.content import sayable
from espalier.core.report.drawn import default_blocks, drawn
from espalier.core.report.series import all_curves, curve, matching
from espalier.core.run.folder import read_config
from espalier.core.tracking.metrics import History, read_history

_OWN = ("seconds", "seed", "job")
_NOT_SETTINGS = ("name",)


@dataclass(frozen=True, slots=True)
class Compared:
    """One of the runs: its label on the page, and what its folder holds."""

    label: str
    path: Path
    config: Mapping[str, Any]
    history: History
    blocks: Sequence[b.Block]
    figures: Mapping[str, Any]


def comparison(paths: Sequence[Path]) -> dict[str, Any]:
    """What the page shows of the run folders `paths`, the first of which the others are compared with.

    Raises RunError for fewer than two runs, or one that is named twice, and where a folder is broken.
    """
    if len(paths) < 2 or len({path.resolve() for path in paths}) < len(paths):
        raise RunError("name two different runs or more to compare")
    runs = [_read(path, label) for path, label in zip(paths, _labels(paths), strict=True)]
    labels = [run.label for run in runs]
    names = list(dict.fromkeys(run.config["name"] for run in runs))
    samples = _samples(runs)
    return {
        "name": "Comparison",
        "folder": " · ".join(labels) if len(labels) <= 4 else f"{len(labels)} runs of {', '.join(names)}",
        "status": "",
        "error": "",
        "seconds": 0.0,
        "steps": 0,
        "config": None,
        "environment": None,
        "origins": [],
        "figures": {},
        "headlines": [],
        "warnings": [],
        "metrics": _metrics(runs),
        "runs": labels,
        "blocks": [
            drawn(_figures(runs), {}, paths[0]),
            *_curves(runs),
            drawn(_settings(runs), {}, paths[0]),
            *([samples] if samples else []),
        ],
    }


def _read(path: Path, label: str) -> Compared:
    history = read_history(path / "metrics.jsonl")
    layout, result = path / "report.json", path / "result.json"
    blocks = b.load(layout) if layout.is_file() else default_blocks(history)
    figures = read_object(result) if result.is_file() else {}
    return Compared(label, path, read_config(path), history, blocks, figures)


def _labels(paths: Sequence[Path]) -> list[str]:
    """Names that tell the runs apart: without the folders that they share at the beginning or the end."""
    parts = [path.resolve().parts for path in paths]
    shared = len(Path(os.path.commonpath(["/".join(p) for p in parts])).parts)
    rest = [p[shared:] or p[-1:] for p in parts]
    heads = [p[0] for p in rest]
    return heads if len(set(heads)) == len(heads) else ["/".join(p) for p in rest]


def _figures(runs: Sequence[Compared]) -> b.Table:
    """A row for each figure, a column for each run, and the differences from the first run."""
    names = list(dict.fromkeys(name for run in runs for name in run.figures if name not in ("seed", "job")))
    names = [*(name for name in names if name not in _OWN), *(name for name in names if name in _OWN)]
    columns = ["figure", *(run.label for run in runs), *(f"{run.label} − {runs[0].label}" for run in runs[1:])]
    rows = []
    for name in names:
        values = [_cell(run.figures.get(name)) for run in runs]
        rows.append([name.replace("_", " "), *values, *(_difference(value, values[0]) for value in values[1:])])
    note = "" if all(run.figures for run in runs) else "A run that has not finished has no figures yet."
    return b.Table("Results", columns, rows, wide=True, note=note)


def _cell(value: Any) -> str | b.Number:
    return value if value is None or (isinstance(value, int | float) and not isinstance(value, bool)) else str(value)


def _difference(value: str | b.Number, first: str | b.Number) -> b.Number:
    return value - first if isinstance(value, int | float) and isinstance(first, int | float) else None


def _settings(runs: Sequence[Compared]) -> b.Table:
    """The settings that are not the same in all runs."""
    flat = [{dotted_name(path): value for path, value in leaves((), dict(run.config))} for run in runs]
    keys = dict.fromkeys(key for one in flat for key in one if key not in _NOT_SETTINGS)
    rows: list[list[str | b.Number]] = [
        [key, *(_written(one, key) for one in flat)]
        for key in keys
        if any(key not in one or one[key] != flat[0].get(key) for one in flat)
    ]
    note = "" if rows else "The runs have the same settings."
    return b.Table("Settings that differ", ["setting", *(run.label for run in runs)], rows, wide=True, note=note)


def _written(settings: Mapping[str, Any], key: str) -> str:
    return str(sayable(settings[key])) if key in settings else "not set"


def _curves(runs: Sequence[Compared]) -> list[dict[str, Any]]:
    """A chart for each metric that one of the runs' own reports draws, with a curve for each run."""
    found: dict[str, dict[str, Any]] = {}
    for run in runs:
        for block in run.blocks:
            if isinstance(block, b.Curves):
                names = {n for one in runs for n in matching(block.metrics, one.history, without=block.band)}
                for name in sorted(names):
                    if name not in found:
                        found[name] = _chart(replace(block, references=()), name, runs)
    return list(found.values())


def _chart(block: b.Curves, name: str, runs: Sequence[Compared]) -> dict[str, Any]:
    title = block.title if list(block.metrics) == [name] else f"{block.title}: {name}"
    series = [
        {"label": run.label, "colour": number, **curve(run.history, name, block.band)}
        for number, run in enumerate(runs)
        if name in run.history
    ]
    chart = drawn(replace(block, metrics=(), title=title), {}, runs[0].path)
    return chart | {"series": series}


def _metrics(runs: Sequence[Compared]) -> dict[str, Any]:
    """`series.all_curves` of all runs together: each name has a list of [number of the run, axis, values]."""
    axes: list[Any] = []
    series: dict[str, list[Any]] = {}
    for number, run in enumerate(runs):
        own = all_curves(run.history)
        for name, (axis, values) in own["series"].items():
            series.setdefault(name, []).append([number, axis + len(axes), values])
        axes += own["axes"]
    return {"axes": axes, "series": dict(sorted(series.items()))}


def _samples(runs: Sequence[Compared]) -> dict[str, Any] | None:
    """The last set of each run's first browser of samples, side by side; problems that several runs have come first."""
    shown: list[list[dict[str, Any]]] = []
    for run in runs:
        block = next((block for block in run.blocks if isinstance(block, b.Samples) and block.sets), None)
        shown.append(drawn(block, {}, run.path)["sets"][-1]["samples"] if block else [])
    count = Counter(sample["key"] for samples in shown for sample in samples)
    if not count:
        return None
    sets = []
    for run, samples in zip(runs, shown, strict=True):
        samples.sort(key=lambda sample: -count[sample["key"]])
        sets.append({"label": run.label, "samples": samples})
    note = "The answers of each run to the same problems, at its end."
    return {"kind": "beside", "title": "Samples side by side", "wide": True, "note": note, "sets": sets}
