"""A flight as a film, seen from above."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from espalier.robots.animate import frame_of
from espalier.robots.swarm.fleet.metrics import FREE
from espalier.robots.swarm.fleet.recording import Recording
from espalier.robots.swarm.register.umeyama import umeyama

Picture = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]
WIDE_IN, DPI = 9.0, 80
MARGIN_M = 2.0
TRAIL_S = 2.0
HEALTHY, STRUCK, PLACE = "#0b7a75", "#d7263d", "#8d99ae"


def film(recording: Recording, error: Floats, every_s: float) -> Iterator[Picture]:
    """Pictures of one size, the error (t,) over them: vehicles with their trails, red while something befalls them, and
    rings where the best fitting formation has its places.
    """
    seen = recording.positions[np.isfinite(recording.positions[..., 0])]
    low, high = seen[:, :2].min(0) - MARGIN_M, seen[:, :2].max(0) + MARGIN_M
    height = WIDE_IN * (high[1] - low[1]) / (high[0] - low[0]) + 0.6
    figure = Figure(figsize=(WIDE_IN, min(height, WIDE_IN)), dpi=DPI, layout="tight")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), aspect="equal", xlabel="x, m")
    (west, south, _), (east, north, _) = recording.world.bounds
    solid = recording.world.occupancy.any(2).T
    axis.imshow(
        np.where(solid, 0.45, np.nan), origin="lower", extent=(west, east, south, north), cmap="gray", vmin=0, vmax=1
    )
    axis.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]))
    places = axis.scatter([], [], s=22, facecolors="none", edgecolors=PLACE, linewidths=0.8)
    trails = axis.plot([], [], color=HEALTHY, linewidth=0.5, alpha=0.5)[0]
    dots = axis.scatter([], [], s=12, zorder=5)
    title = axis.set_title(" ", fontsize=9)
    tick = float(np.diff(recording.times[:2]).sum()) or every_s
    for step in range(0, len(recording.times), max(round(every_s / tick), 1)):
        now, positions, struck = recording.times[step], recording.positions[step], recording.struck[step]
        places.set_offsets(_places(recording, step)[:, :2])
        dots.set_offsets(positions[:, :2])
        dots.set_color(np.where(struck, STRUCK, HEALTHY))
        tail = recording.positions[max(step - round(TRAIL_S / tick), 0) : step + 1]
        gaps = np.full((1, *tail.shape[1:]), np.nan)
        lines = np.concatenate([tail, gaps]).transpose(1, 0, 2).reshape(-1, 3)
        trails.set_data(lines[:, 0], lines[:, 1])
        title.set_text(f"{now:4.1f} s   formation error {100 * error[step]:.2f}%   {int(struck.sum())} failed")
        yield frame_of(figure)


def _places(recording: Recording, step: int) -> Floats:
    """(m, 3): the slots of the formation, moved to where it fits the healthy vehicles best."""
    slots, slot = recording.formations[recording.act[step]], recording.slot[step]
    fitted = recording.healthy & (slot >= 0)
    return umeyama(slots[slot[fitted]], recording.positions[step, fitted], freedom=FREE).apply(slots)
