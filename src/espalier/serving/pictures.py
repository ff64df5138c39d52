"""Pictures of a comparison, as SVG files."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from espalier.serving.averages import Averages, Results
from espalier.serving.config import CompareConfig


def draw(config: CompareConfig, results: Results, artefact: Callable[[str], Path]) -> Iterator[tuple[str, str, str]]:
    """File, title and note of each picture: of the first pool and traffic, at the load nearest to 0.85.

    Arms of which nothing finished, and pictures in which nothing would be seen, are left out.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

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

    def page(rows: int, height: float) -> tuple[Any, Any]:
        return plt.subplots(rows, 1, figsize=(9, height * rows), squeeze=False, layout="constrained")

    def save(figure: Any, name: str) -> str:
        figure.savefig(artefact(name), metadata={"Date": None})
        plt.close(figure)
        return name

    figure, axes = page(1, 3.6)
    for arm, found in chosen.items():
        axes[0, 0].plot(found["quantiles"], np.linspace(0, 1, 101), label=arm)
    axes[0, 0].set(xlabel="time to first token, s", ylabel="share of requests", xlim=(0, _limit(chosen)))
    axes[0, 0].legend()
    yield save(figure, "distribution.svg"), "Times to first token", where

    if len(config.loads) > 1:
        figure, axes = page(1, 3.6)
        averages = Averages(results)
        for arm in config.arms:
            times = [averages.of((pool, traffic, one), arm, "ttft_mean") for one in config.loads]
            axes[0, 0].plot(config.loads, times, "o-", label=arm)
        axes[0, 0].set(xlabel="load", ylabel="mean time to first token, s", ylim=(0, None))
        axes[0, 0].legend()
        yield save(figure, "loads.svg"), "Time to first token against load", f"{pool}, {traffic}"

    figure, axes = page(1, 3.2)
    parts = np.array([[found[name] for name in ("held", "queued", "computed")] for found in chosen.values()])
    left = np.zeros(len(chosen))
    for part, label in zip(parts.T, ("held by the scheduler", "waiting in the engine", "computed"), strict=True):
        axes[0, 0].barh(list(chosen), part, left=left, label=label)
        left = left + part
    axes[0, 0].set(xlabel="mean seconds")
    axes[0, 0].legend()
    yield save(figure, "parts.svg"), "Where the time goes", where

    few = [arm for arm in dict.fromkeys((config.baselines[-1], list(config.arms)[-1])) if arm in chosen]
    busy = {arm: chosen[arm]["timeline"] for arm in few if chosen[arm]["timeline"]["passes"]}
    if busy:
        figure, axes = page(len(busy), 2.4)
        for axis, (arm, timeline) in zip(axes[:, 0], busy.items(), strict=True):
            _passes(axis, timeline, arm)
        title = "Passes, and waits inside the engines"
        yield save(figure, "passes.svg"), title, f"{where}; dots: waits"

    sent = {arm: chosen[arm]["timeline"]["heat"] for arm in few if np.any(chosen[arm]["timeline"]["heat"])}
    if sent:
        figure, axes = page(len(sent), 2.4)
        for axis, (arm, heat) in zip(axes[:, 0], sent.items(), strict=True):
            drawn = axis.imshow(heat, aspect="auto", interpolation="nearest", cmap="viridis")
            axis.set(title=arm, ylabel="rank", xlabel="slice of 8 s")
            figure.colorbar(drawn, ax=axis, label="tokens")
        yield save(figure, "ranks.svg"), "Tokens sent to each rank", where


def _passes(axis: Any, timeline: Mapping[str, Any], title: str) -> None:
    start = timeline["start"]
    for begun, instance, seconds, _, _ in timeline["passes"]:
        axis.barh(instance, seconds, left=begun - start, height=0.7, color="#7a9e7e", edgecolor="white")
    times, instances, waits = zip(*timeline["waits"], strict=True) if timeline["waits"] else ((), (), ())
    axis.scatter(times, instances, s=4, c=waits, cmap="inferno_r", vmin=0, vmax=1.0)
    axis.set(title=title, xlabel="seconds", ylabel="instance", xlim=(0, timeline["span"]))


def _limit(chosen: Mapping[str, Mapping[str, Any]]) -> float:
    return 1.2 * max((found["ttft_p99"] for found in chosen.values()), default=1.0)
