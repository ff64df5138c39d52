"""The picture of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure


def draw_errors(results: Mapping[str, list[dict[str, Any]]], artefact: Callable[[str], Path]) -> str:
    """An axis for each cloud: the error of each method scan by scan; returns the file's name."""
    columns = min(len(results), 3)
    rows = -(-len(results) // columns)
    figure = Figure(figsize=(4.2 * columns, 2.8 * rows), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True).ravel()
    for axis, (name, found) in zip(axes, results.items(), strict=False):
        for method, judged in found[0].items():
            axis.plot(judged["by_scan"], label=method, linewidth=1.2)
        axis.set(title=name, ylim=(0, None))
    for axis in axes[len(results) :]:
        axis.set_axis_off()
    axes[0].set(xlabel="scan", ylabel="mean error of the cost")
    axes[0].legend(fontsize="small")
    figure.savefig(artefact("errors.svg"), metadata={"Date": None})
    return "errors.svg"
