"""Raw float32, point by point, in the order of KITTI, of nuScenes, or x, y, z alone. A file does not say which."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError
from espalier.robots.terrain.cloud.cloud import Cloud
from espalier.robots.terrain.cloud.columns import AXES, Columns

Singles = npt.NDArray[np.float32]

KITTI = (*AXES, "intensity")
LAYOUTS = {3: AXES, 4: KITTI, 5: (*KITTI, "ring")}
"""By the numbers of a point: the plain one, KITTI's, nuScenes'."""
WIDTHS = range(2, 11)
"""Numbers of a point that are told from one another."""
BYTES = 4
SAMPLE = 60_480
"""Numbers that are looked at; a multiple of all widths."""
FEW = 300
"""Of fewer numbers nothing can be told: they are taken as KITTI's."""
CLEAR, LEAST = 0.7, 0.01
"""A width stands out where its columns differ at least so much, and those of no smaller width differ by this share of
it; a multiple of the right width is as good as that. In any other all columns are mixed."""
TINY, HUGE = 1e-10, 1e7
MOST_ODD = 0.2
"""Share of numbers, neither 0 nor in between these, that says that a file does not hold float32."""
LOSS_M = 0.005
"""Coordinates that float32 moves by more are not written."""


def read_bin(file: Path) -> Columns:
    """The columns of the layout in which they differ. Raises DataError where the size is not one of whole points, where
    the numbers are no float32, and where no known layout stands out.
    """
    numbers, size = np.fromfile(file, "<f4"), file.stat().st_size
    width = _width(file, numbers, size)
    layout = LAYOUTS.get(width)
    if layout is None:
        raise DataError(f"{file} seems to hold {width} numbers a point; {_known()} are read. Write .npy instead")
    if size % (BYTES * width):
        raise DataError(
            f"{file} has {size} bytes, which is no multiple of {BYTES * width} (float32 {', '.join(layout)}): it was "
            f"cut short, or holds something else. {_known()} are read"
        )
    return dict(zip(layout, numbers.reshape(-1, width).T, strict=True))


def bin_bytes(cloud: Cloud) -> bytes:
    """KITTI's layout. Intensity is that of the cloud or 0; other fields are not written.

    Raises DataError where float32 is too coarse.
    """
    rows = np.zeros((len(cloud), 4), "<f4")
    rows[:, :3] = cloud.points
    loss = np.abs(rows[:, :3] - cloud.points).max(initial=0.0)
    if loss > LOSS_M:
        raise DataError(f"float32 would move a point by {loss:.3g} m; write .npz or .las, or subtract an origin")
    rows[:, 3] = cloud.fields.get("intensity", 0.0)
    return rows.tobytes()


def _known() -> str:
    return "; ".join(" ".join(layout) for layout in LAYOUTS.values())


def _width(file: Path, numbers: Singles, size: int) -> int:
    """Numbers of a point."""
    some = numbers[:SAMPLE]
    if len(some) < FEW:
        return len(KITTI)
    sizes = np.abs(some[np.isfinite(some)].astype(np.float64))
    odd = np.mean((sizes != 0.0) & ~((sizes > TINY) & (sizes < HUGE))) if len(sizes) else 0.0
    if odd > MOST_ODD:
        raise DataError(
            f"{file}: {100 * odd:.0f}% of its numbers are no lengths in metres if they are float32, little-endian: "
            "does it hold float64, or another order of bytes? Write .npy instead"
        )
    scores = {width: _contrast(some, width) for width in WIDTHS}
    most = max(scores.values())
    if most >= LEAST:
        return next(width for width in WIDTHS if scores[width] >= CLEAR * most)
    fits = [width for width in LAYOUTS if size % (BYTES * width) == 0]
    if fits in ([], [len(KITTI)]):
        return len(KITTI)
    raise DataError(
        f"{file} may hold {' or '.join(' '.join(LAYOUTS[width]) for width in fits)}, and its numbers do not tell. "
        "Write .npy, which says its shape"
    )


def _contrast(numbers: Singles, width: int) -> float:
    """How much columns of that width differ in what is usual and in how far it is spread: shares of the variance of the
    ranks, of values and of sizes, that the column explains.
    """
    rows = numbers[: len(numbers) // width * width]
    found = 0.0
    for values in (rows, np.abs(rows)):
        ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable").reshape(-1, width)
        found += float(ranks.mean(0).var() / ranks.var())
    return found
