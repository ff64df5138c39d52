"""A folder of clouds with a file of poses, as a sequence of scans."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from espalier.core.errors import DataError
from espalier.robots.terrain.cloud.cloud import Cloud, Scan
from espalier.robots.terrain.cloud.load import FORMATS, load_cloud
from espalier.robots.terrain.cloud.poses import read_poses
from espalier.robots.terrain.cloud.unusable import NothingUsableError

Floats = npt.NDArray[np.float64]

NAMES = ("poses.txt", "poses.tum", "*.tum", "groundtruth.txt")
"""Where poses are looked for, in this order."""
NEAR_S = 0.05
"""Between the stamp in a cloud's name and that of its pose."""


@dataclass(frozen=True)
class Scans:
    """Scans that are read when their turn comes. files: the clouds. poses: (n, 4, 4), sensor to world. stamps: (n,)
    seconds. Going through them raises DataError at a cloud that is broken; one without a point of use is a scan without
    points.
    """

    files: tuple[Path, ...]
    poses: Floats
    stamps: Floats

    def __len__(self) -> int:
        return len(self.files)

    def __iter__(self) -> Iterator[Scan]:
        for file, pose, stamp in zip(self.files, self.poses, self.stamps, strict=True):
            try:
                cloud = load_cloud(file)
            except NothingUsableError as error:
                cloud = Cloud(np.zeros((0, 3)), str(file), dropped=error.dropped)
            yield Scan(cloud.points, pose, float(stamp), cloud.source, cloud.dropped)


def load_scans(folder: Path, poses: Path | None = None) -> Scans:
    """The clouds of a folder in the order of their names, `scan_2` before `scan_10`, each with its pose.

    poses: a TUM or KITTI file; if None, the `poses.txt`, `poses.tum`, other `.tum` or `groundtruth.txt` in the folder.
    Clouds named by their stamps, in seconds, get the nearest pose within 0.05 s; others get theirs by order. Stamps
    are kept as they are, shuffled or not. All but the clouds themselves is checked here. Raises DataError.
    """
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    visible = (file for file in folder.iterdir() if not file.name.startswith("."))
    files = sorted((file for file in visible if file.suffix.lower() in FORMATS), key=_natural)
    if not files:
        raise DataError(f"{folder} holds no clouds, which end in {', '.join(FORMATS)}")
    found = poses or _pose_file(folder)
    if not found.is_file():
        raise DataError(f"there is no file of poses {found}")
    known = read_poses(found)
    named = _named(files)
    if known.timed and named is not None:
        chosen, gaps = _nearest(named, known.stamps)
        if gaps.max() <= NEAR_S:
            return Scans(tuple(files), known.matrices[chosen], named)
        hint = f"; {files[int(gaps.argmax())].name} is {gaps.max():.3g} s from the nearest pose"
    else:
        hint = ""
    if len(files) != len(known):
        raise DataError(
            f"{folder} holds {len(files)} scans and {found} {len(known)} poses{hint}. Give each scan a pose, or name "
            "the scans by their stamps in seconds and give the poses as TUM"
        )
    return Scans(tuple(files), known.matrices, known.stamps)


def _natural(file: Path) -> tuple[list[str | float], str]:
    """Numbers in names compare by value."""
    parts = re.split(r"(\d+(?:\.\d+)?)", file.stem)
    return [float(part) if k % 2 else part for k, part in enumerate(parts)], file.name


def _pose_file(folder: Path) -> Path:
    for pattern in NAMES:
        match sorted(folder.glob(pattern)):
            case [file]:
                return file
            case [_, *_] as several:
                raise DataError(f"{folder} has {len(several)} files of poses: {', '.join(map(str, several))}; name one")
    raise DataError(f"{folder} has no file of poses, which is {', '.join(NAMES)}; name one, or put one there")


def _named(files: Sequence[Path]) -> Floats | None:
    """The stamps that the files are named by, seconds; None where one is not."""
    try:
        stamps = np.array([float(file.stem) for file in files])
    except ValueError:
        return None
    return stamps if np.isfinite(stamps).all() else None


def _nearest(stamps: Floats, known: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """For each stamp the index of the nearest known one, and how far it is."""
    order = np.argsort(known, kind="stable")
    line = known[order]
    after = np.searchsorted(line, stamps).clip(max=len(line) - 1)
    before = (after - 1).clip(min=0)
    picked = np.where(np.abs(line[before] - stamps) <= np.abs(line[after] - stamps), before, after)
    return order[picked], np.abs(line[picked] - stamps)
