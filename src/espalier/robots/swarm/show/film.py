"""A flight as a film, and moments of it as pictures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import numpy as np
import numpy.typing as npt

from espalier.robots.swarm.fleet.config import View
from espalier.robots.swarm.fleet.metrics import FREE
from espalier.robots.swarm.fleet.recording import Recording
from espalier.robots.swarm.register.umeyama import umeyama
from espalier.robots.swarm.show.stage import Picture, stage
from espalier.robots.swarm.show.view import is_hidden, view_of_flight

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
DPI, STILL_DPI = 80, 150
MARGIN_M = 2.0
TRAIL_S = 2.0
HEALTHY, STRUCK, PLACE, SHADOW = "#0b7a75", "#d7263d", "#8d99ae", "#d5d9e0"
BEHIND = 0.35
"""Opacity of a vehicle behind an obstacle."""


def moments(recording: Recording, every_s: float) -> tuple[Ints, float]:
    """Which times of a recording are about so far apart, (k,), and how far that is: no less than those of the
    recording.
    """
    times = recording.times - recording.times[0]
    every_s = max(every_s, float(np.diff(times[:2]).sum()))
    wanted = np.arange(0.0, times[-1] + 1e-9, every_s) if every_s > 0.0 else np.zeros(1)
    after = np.searchsorted(times, wanted - 1e-9)
    before = np.maximum(after - 1, 0)
    return np.where(wanted - times[before] < times[after] - wanted, before, after), every_s


def film(
    recording: Recording,
    error: Floats,
    steps: Iterable[int],
    view: Literal["auto"] | View = "auto",
    *,
    dpi: int = DPI,
    trail_s: float = TRAIL_S,
) -> Iterator[Picture]:
    """Pictures of one size, the error (t,) over them: vehicles with their trails, red while something befalls them and
    pale behind obstacles, and rings where the best fitting formation has its places. steps: of the recording.
    """
    low, high = _space(recording)
    seen = stage(low, high, view_of_flight(recording.formations) if view == "auto" else view, dpi, recording.world)
    size = seen.vehicle_pt
    shadows = seen.dots(size, facecolors=SHADOW, linewidths=0.0)
    trails = seen.line(color=HEALTHY, linewidth=0.5, alpha=0.5)
    rings = seen.dots(size + 2.0, facecolors="none", edgecolors=PLACE, linewidths=0.8)
    dots = seen.dots(size, linewidths=0.0)
    title = seen.title()
    draw = seen.still()
    for step in steps:
        positions, struck = recording.positions[step], recording.struck[step]
        if seen.floor_m is not None:
            shadows.set_offsets(seen.flat(np.column_stack([positions[:, :2], np.full(len(positions), seen.floor_m)])))
        rings.set_offsets(seen.flat(_places(recording, step)))
        dots.set_offsets(seen.flat(positions))
        pale = np.where(is_hidden(positions, seen.towards, recording.world), BEHIND, 1.0)
        dots.set_facecolor(list(zip(np.where(struck, STRUCK, HEALTHY).tolist(), pale.tolist(), strict=True)))
        trails.set_data(*seen.flat(_trails(recording, step, trail_s)).T)
        title.set_text(_title(recording, float(error[step]), step))
        yield draw([shadows, trails, rings, dots, title])


def still(
    recording: Recording,
    error: Floats,
    at_s: float,
    view: Literal["auto"] | View = "auto",
    *,
    trail_s: float = TRAIL_S,
) -> Picture:
    """What a film shows at the time nearest to `at_s`, finer."""
    step = int(np.abs(recording.times - at_s).argmin())
    return next(film(recording, error, [step], view, dpi=STILL_DPI, trail_s=trail_s))


def _space(recording: Recording) -> tuple[Floats, Floats]:
    """That all vehicles ever were in, and a margin, but not below the ground."""
    seen = recording.positions[np.isfinite(recording.positions[..., 0])]
    seen = seen if len(seen) else recording.goals
    low = seen.min(0) - MARGIN_M
    low[2] = max(low[2], min(0.0, low[2] + MARGIN_M))
    return low, seen.max(0) + MARGIN_M


def _trails(recording: Recording, step: int, trail_s: float) -> Floats:
    """(k, 3): one after the other, parted by NaN."""
    first = int(np.searchsorted(recording.times, recording.times[step] - trail_s))
    tail = recording.positions[first : step + 1]
    gaps = np.full((1, *tail.shape[1:]), np.nan)
    return np.concatenate([tail, gaps]).transpose(1, 0, 2).reshape(-1, 3)


def _title(recording: Recording, error: float, step: int) -> str:
    off = f"   formation error {100 * error:.2f}%" if np.isfinite(error) else ""
    failed = int(recording.struck[step].sum())
    return f"{recording.times[step]:5.1f} s{off}" + (f"   {failed} failed" if failed else "")


def _places(recording: Recording, step: int) -> Floats:
    """(m, 3): the slots of the formation, moved to where it fits the healthy vehicles best."""
    slots, slot = recording.formations[recording.act[step]], recording.slot[step]
    fitted = recording.healthy & (slot >= 0)
    return umeyama(slots[slot[fitted]], recording.positions[step, fitted], freedom=FREE).apply(slots)
