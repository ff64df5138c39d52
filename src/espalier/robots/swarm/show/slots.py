"""The slots of a formation to files, by the file's suffix, and what is told of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from espalier.core.errors import DataError, nearest
from espalier.core.io.files import write_atomic, write_json
from espalier.robots.swarm.show.film import HEALTHY, SHADOW, STILL_DPI
from espalier.robots.swarm.show.save import png
from espalier.robots.swarm.show.stage import stage
from espalier.robots.swarm.show.view import view_of_formation

Floats = npt.NDArray[np.float64]


class Measures(NamedTuple):
    """extent_m: along x, y and z. least_m: between the two nearest slots; infinite of one slot."""

    extent_m: tuple[float, float, float]
    least_m: float


def measures(slots: Floats) -> Measures:
    """Of slots (n, 3)."""
    x, y, z = np.ptp(slots, axis=0).tolist()
    least = float(cKDTree(slots).query(slots, k=2)[0][:, 1].min()) if len(slots) > 1 else np.inf
    return Measures((x, y, z), least)


def save_slots(slots: Floats, file: Path) -> Path:
    """Write slots (n, 3) as .csv, .json, .npy or .png, and return the file. Folders are made as needed.

    Raises DataError for another suffix.
    """
    save = FORMATS[checked_suffix(file)]
    file.parent.mkdir(parents=True, exist_ok=True)
    save(slots, file)
    return file


def checked_suffix(file: Path) -> str:
    """That of a format. Raises DataError for another."""
    suffix = file.suffix.lower()
    if suffix not in FORMATS:
        raise DataError(f"{file}: a formation cannot be written as that{nearest(suffix, FORMATS)}")
    return suffix


def _csv(slots: Floats, file: Path) -> None:
    rows = [f"{k},{x:.6f},{y:.6f},{z:.6f}" for k, (x, y, z) in enumerate(slots.tolist())]
    write_atomic(file, "\n".join(["slot,x,y,z", *rows]) + "\n")


def _json(slots: Floats, file: Path) -> None:
    found = measures(slots)
    least = found.least_m if np.isfinite(found.least_m) else None
    write_json(file, {"n": len(slots), "extent_m": found.extent_m, "least_m": least, "slots": slots.tolist()})


def _npy(slots: Floats, file: Path) -> None:
    stream = io.BytesIO()
    np.save(stream, slots, allow_pickle=False)
    write_atomic(file, stream.getvalue())


def _png(slots: Floats, file: Path) -> None:
    """From where most is seen of it."""
    margin = max(0.08 * float(np.ptp(slots, axis=0).max()), 0.5)
    seen = stage(slots.min(0) - margin, slots.max(0) + margin, view_of_formation(slots), STILL_DPI)
    size = seen.vehicle_pt
    dots, shadows = seen.dots(size, facecolors=HEALTHY, linewidths=0.0), seen.dots(size, facecolors=SHADOW)
    dots.set_offsets(seen.flat(slots))
    if seen.floor_m is not None:
        shadows.set_offsets(seen.flat(np.column_stack([slots[:, :2], np.full(len(slots), seen.floor_m)])))
    write_atomic(file, png(seen.still()([shadows, dots])))


FORMATS: Mapping[str, Callable[[Floats, Path], None]] = {".csv": _csv, ".json": _json, ".npy": _npy, ".png": _png}
"""By suffix, in lower case."""
