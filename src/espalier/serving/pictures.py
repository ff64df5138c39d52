"""Pictures of a comparison, as SVG files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from espalier.serving.averages import Averages, Results
from espalier.serving.config import CompareConfig
from espalier.serving.maps import draw_maps

Drawn = tuple[str, str, str]
"""File, title and note of a picture."""
Found = Mapping[str, Mapping[str, Any]]
"""What was found of each arm that is drawn."""


def draw(config: CompareConfig, results: Results, artefact: Callable[[str], Path]) -> Iterator[Drawn]:
    """The pictures: maps of all traffics and loads; others of the first pool and traffic, at the load nearest to 0.85.

    Arms of which nothing finished, and pictures in which nothing would be seen, are left out.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    for name, title, figure in draw_maps(config, Averages(results)):
        yield _save(figure, artefact, name), title, "negative is better"
    pool, traffic = config.pools[0], next(iter(config.traffic))
    load = min(config.loads, key=lambda one: abs(one - 0.85))
    where = f"{pool}, {traffic}, load {load:g}"
    chosen = {
        task.arm: found
        for task, found in results.items()
        if task[:3] == (pool, traffic, load) and "timeline" in found and found["quantiles"]
    }
    if not chosen:
        return
    few = [arm for arm in dict.fromkeys((config.baselines[-1], list(config.arms)[-1])) if arm in chosen]
    busy = {arm: chosen[arm]["timeline"] for arm in few if chosen[arm]["timeline"]["passes"]}
    sent = {arm: chosen[arm]["timeline"]["heat"] for arm in few if np.any(chosen[arm]["timeline"]["heat"])}

    yield _save(_distribution(chosen), artefact, "distribution.svg"), "Times to first token", where
    if len(config.loads) > 1:
        figure = _loads(config, Averages(results), pool, traffic)
        yield _save(figure, artefact, "loads.svg"), "Time to first token against load", f"{pool}, {traffic}"
    yield _save(_parts(chosen), artefact, "parts.svg"), "Where the time goes", where
    if busy:
        title = "Passes, and waits inside the engines"
        yield _save(_passes(busy), artefact, "passes.svg"), title, f"{where}; dots: waits"
    if sent:
        yield _save(_ranks(sent), artefact, "ranks.svg"), "Tokens sent to each rank", where


def _page(rows: int, height: float) -> tuple[Any, Any]:
    """A figure, and its axes from top to bottom, each `height` inches high."""
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(rows, 1, figsize=(9, height * rows), squeeze=False, layout="constrained")
    return figure, axes[:, 0]


def _save(figure: Any, artefact: Callable[[str], Path], name: str) -> str:
    from matplotlib import pyplot as plt

    figure.savefig(artefact(name), metadata={"Date": None})
    plt.close(figure)
    return name


def _distribution(chosen: Found) -> Any:
    figure, (axis,) = _page(1, 3.6)
    for arm, found in chosen.items():
        axis.plot(found["quantiles"], np.linspace(0, 1, 101), label=arm)
    axis.set(xlabel="time to first token, s", ylabel="share of requests", xlim=(0, _limit(chosen)))
    axis.legend()
    return figure


def _loads(config: CompareConfig, averages: Averages, pool: str, traffic: str) -> Any:
    figure, (axis,) = _page(1, 3.6)
    for arm in config.arms:
        times = [averages.of((pool, traffic, one), arm, "ttft_mean") for one in config.loads]
        axis.plot(config.loads, times, "o-", label=arm)
    axis.set(xlabel="load", ylabel="mean time to first token, s", ylim=(0, None))
    axis.legend()
    return figure


def _parts(chosen: Found) -> Any:
    figure, (axis,) = _page(1, 3.2)
    parts = np.array([[found[name] for name in ("held", "queued", "computed")] for found in chosen.values()])
    left = np.zeros(len(chosen))
    for part, label in zip(parts.T, ("held by the scheduler", "waiting in the engine", "computed"), strict=True):
        axis.barh(list(chosen), part, left=left, label=label)
        left = left + part
    axis.set(xlabel="mean seconds")
    axis.legend()
    return figure


def _passes(busy: Found) -> Any:
    figure, axes = _page(len(busy), 2.4)
    for axis, (arm, timeline) in zip(axes, busy.items(), strict=True):
        start = timeline["start"]
        for begun, instance, seconds, _, _ in timeline["passes"]:
            axis.barh(instance, seconds, left=begun - start, height=0.7, color="#7a9e7e", edgecolor="white")
        times, instances, waits = zip(*timeline["waits"], strict=True) if timeline["waits"] else ((), (), ())
        axis.scatter(times, instances, s=4, c=waits, cmap="inferno_r", vmin=0, vmax=1.0)
        axis.set(title=arm, xlabel="seconds", ylabel="instance", xlim=(0, timeline["span"]))
    return figure


def _ranks(sent: Mapping[str, Any]) -> Any:
    figure, axes = _page(len(sent), 2.4)
    for axis, (arm, heat) in zip(axes, sent.items(), strict=True):
        drawn = axis.imshow(heat, aspect="auto", interpolation="nearest", cmap="viridis")
        axis.set(title=arm, ylabel="rank", xlabel="slice of 8 s")
        figure.colorbar(drawn, ax=axis, label="tokens")
    return figure


def _limit(chosen: Found) -> float:
    return 1.2 * max((found["ttft_p99"] for found in chosen.values()), default=1.0)
