"""A flight to files for people and other programs, by the file's suffix."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from PIL import Image

from espalier.core.errors import DataError, MissingExtraError, nearest
from espalier.core.io.files import sync, temporary, write_atomic
from espalier.robots.animate import save_animation
from espalier.robots.swarm.fleet.config import View
from espalier.robots.swarm.fleet.metrics import shape
from espalier.robots.swarm.fleet.recording import Recording
from espalier.robots.swarm.show.film import TRAIL_S, film, moments, still
from espalier.robots.swarm.show.stage import Picture
from espalier.robots.swarm.traj.config import VEHICLE_M

EVERY_S = 0.2
"""Between two pictures, unless something else is asked for."""
COLUMNS = ("time", "vehicle", "x", "y", "z", "vx", "vy", "vz", "act", "slot", "struck")


@dataclass(frozen=True)
class Look:
    """view: of pictures. every_s: between two pictures, or times of a table; None for EVERY_S, or all times. at_s: of a
    still, None for the last. whole: pictures show all of the way flown until then.
    """

    view: Literal["auto"] | View = "auto"
    every_s: float | None = None
    at_s: float | None = None
    whole: bool = False


def save_flight(recording: Recording, file: Path, look: Look | None = None) -> Path:
    """Write a .gif, .mp4, .png, .csv, .rrd (rerun) or .npz, which `Recording.load` reads, and return the file. Folders
    are made as needed.

    Raises DataError for another suffix, MissingExtraError without the format's package.
    """
    save = FORMATS[checked_suffix(file)].save
    file.parent.mkdir(parents=True, exist_ok=True)
    save(recording, file, look or Look())
    return file


def checked_suffix(file: Path) -> str:
    """That of a format. Raises DataError for another."""
    suffix = file.suffix.lower()
    if suffix not in FORMATS:
        raise DataError(f"{file}: a flight cannot be written as that{nearest(suffix, FORMATS)}")
    return suffix


def check_uses(files: Sequence[Path], look: Look) -> None:
    """Raises DataError for a suffix that is none of a format, or for a look's setting that none of the files shows."""
    used = frozenset[str]().union(*(FORMATS[checked_suffix(file)].uses for file in files))
    for name, value in vars(look).items():
        if value != getattr(Look(), name) and name not in used:
            shows = " and ".join(suffix for suffix, one in FORMATS.items() if name in one.uses)
            raise DataError(f"--{name.removesuffix('_s')} is of {shows} files, and there is none to be written")


def png(picture: Picture) -> bytes:
    """A picture as a PNG file's content."""
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "png")
    return stream.getvalue()


def _film(recording: Recording, file: Path, look: Look) -> None:
    steps, every_s = moments(recording, EVERY_S if look.every_s is None else look.every_s)
    trail_s = np.inf if look.whole else TRAIL_S
    frames = film(recording, shape(recording).error, steps.tolist(), look.view, trail_s=trail_s)
    save_animation(frames, file, 1.0 / every_s if every_s else 1.0)


def _still(recording: Recording, file: Path, look: Look) -> None:
    times, trail_s = recording.times, np.inf if look.whole else TRAIL_S
    at_s = float(times[-1]) if look.at_s is None else look.at_s
    if not times[0] <= at_s <= times[-1]:
        raise DataError(f"{file}: {at_s:g} s is not in the flight, which lasts from {times[0]:g} to {times[-1]:g} s")
    write_atomic(file, png(still(recording, shape(recording).error, at_s, look.view, trail_s=trail_s)))


def _table(recording: Recording, file: Path, look: Look) -> None:
    """A row for each vehicle at each time; places (m) and velocities (m/s) of one that is gone are empty. Velocities
    are central differences over the recording's times.
    """
    steps, times = moments(recording, look.every_s or 0.0)[0].tolist(), recording.times
    velocities = np.gradient(recording.positions, times, axis=0) if len(times) > 1 else 0.0 * recording.positions
    lines = [",".join(COLUMNS)]
    for step in steps:
        now, act = f"{times[step]:.3f}", int(recording.act[step])
        both = np.concatenate([recording.positions[step], velocities[step]], axis=1).tolist()
        seen = zip(both, recording.slot[step], recording.struck[step], strict=True)
        for vehicle, (numbers, slot, struck) in enumerate(seen):
            place = ",".join(f"{value:.4f}" if np.isfinite(value) else "" for value in numbers)
            lines.append(f"{now},{vehicle},{place},{act},{slot},{int(struck)}")
    write_atomic(file, "\n".join(lines) + "\n")


def _rerun(recording: Recording, file: Path, look: Look) -> None:
    """For rerun's viewer: vehicles along a timeline `flight`, and the cells of obstacles."""
    try:
        import rerun
    except ModuleNotFoundError as error:
        raise MissingExtraError("rerun-sdk", "viewer") from error
    world = recording.world
    with temporary(file, folder=False) as temp:
        stream = rerun.RecordingStream("espalier swarm")
        stream.save(temp)
        cells = world.origin + (np.argwhere(world.occupancy) + 0.5) * world.cell_m
        stream.log("obstacles", rerun.Points3D(cells, radii=0.5 * world.cell_m, colors=(140, 140, 140)), static=True)
        for step in moments(recording, look.every_s or 0.0)[0].tolist():
            stream.set_time("flight", duration=float(recording.times[step]))
            there = np.isfinite(recording.positions[step, :, 0])
            colours = np.where(recording.struck[step, there, None], (215, 38, 61), (11, 122, 117))
            ids = np.flatnonzero(there)
            vehicles = rerun.Points3D(
                recording.positions[step, there], radii=VEHICLE_M, colors=colours, keypoint_ids=ids
            )
            stream.log("vehicles", vehicles)
        stream.flush()
        stream.disconnect()
        sync(temp)
        temp.replace(file)
        sync(file.parent)


def _archive(recording: Recording, file: Path, look: Look) -> None:
    recording.save(file)


class Format(NamedTuple):
    """save: writes a file. uses: settings of a look that it shows."""

    save: Callable[[Recording, Path, Look], None]
    uses: frozenset[str]


FORMATS: Mapping[str, Format] = {
    ".gif": Format(_film, frozenset({"view", "every_s", "whole"})),
    ".mp4": Format(_film, frozenset({"view", "every_s", "whole"})),
    ".png": Format(_still, frozenset({"view", "at_s", "whole"})),
    ".csv": Format(_table, frozenset({"every_s"})),
    ".rrd": Format(_rerun, frozenset({"every_s"})),
    ".npz": Format(_archive, frozenset()),
}
"""By suffix, in lower case."""
