"""The picture of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from espalier.robots.swarm.compare.config import Way

SHOWN = {
    "error_percent": "formation error, % of the diameter",
    "travelled_share": "share of the way",
    "least_separation_m": "least separation, m",
}
MARKS = "osD^vP*X<>"


def draw_cases(
    table: Mapping[tuple[str, Way], Mapping[str, float]],
    cases: Sequence[str],
    methods: Sequence[Way],
    artefact: Callable[[str], Path],
) -> str:
    """A row for each case, a mark for each method, an axis for each figure; returns the file's name."""
    figure = Figure(figsize=(11.0, 1.6 + 0.42 * len(cases)), layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.subplots(1, len(SHOWN), squeeze=False, sharey=True)[0]
    for axis, (name, title) in zip(axes, SHOWN.items(), strict=True):
        for k, method in enumerate(methods):
            values = [table[case, method].get(name) for case in cases]
            rows = [row for row, value in enumerate(values) if value is not None]
            mark = MARKS[k % len(MARKS)]
            axis.plot([values[row] for row in rows], rows, mark, label=method, markersize=6, alpha=0.8)
        axis.set(xlabel=title, yticks=range(len(cases)), yticklabels=cases)
        axis.grid(axis="y", linewidth=0.4)
    axes[0].set(xscale="log")
    axes[0].invert_yaxis()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=5, fontsize="small")
    figure.savefig(artefact("cases.svg"), metadata={"Date": None})
    return "cases.svg"
