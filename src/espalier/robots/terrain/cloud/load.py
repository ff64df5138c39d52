"""Clouds from files and to files. The suffix tells the format."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from espalier.core.errors import DataError, nearest
from espalier.core.io.files import write_atomic
from espalier.robots.terrain.cloud.arrays import npy_bytes, npz_bytes, read_numpy
from espalier.robots.terrain.cloud.cloud import Cloud
from espalier.robots.terrain.cloud.columns import AXES, Columns, cloud_of
from espalier.robots.terrain.cloud.las import las_bytes, laz_bytes, read_las
from espalier.robots.terrain.cloud.pcd import pcd_bytes, read_pcd
from espalier.robots.terrain.cloud.ply import ply_bytes, read_ply
from espalier.robots.terrain.cloud.raw import bin_bytes, read_bin


class Format(NamedTuple):
    """How a cloud comes out of a file, and the content of a file that holds it."""

    read: Callable[[Path], Columns]
    write: Callable[[Cloud], bytes]


FORMATS: Mapping[str, Format] = {
    ".pcd": Format(read_pcd, pcd_bytes),
    ".ply": Format(read_ply, ply_bytes),
    ".las": Format(read_las, las_bytes),
    ".laz": Format(read_las, laz_bytes),
    ".npy": Format(read_numpy, npy_bytes),
    ".npz": Format(read_numpy, npz_bytes),
    ".bin": Format(read_bin, bin_bytes),
}


def load_cloud(file: Path) -> Cloud:
    """PCD, PLY, LAS, LAZ, NPY, NPZ and raw .bin. Points that are not finite, are noise by their class or are beams that
    did not return are left out and counted in `dropped`.

    Raises DataError where the file is missing, broken, cut short, of another format or without a point of use.
    """
    read = _format(file).read
    if file.is_dir():
        raise DataError(f"{file} is a folder; load_scans reads those")
    if not file.is_file():
        raise DataError(f"there is no cloud {file}")
    return cloud_of(read(file), file)


def save_cloud(cloud: Cloud, file: Path) -> None:
    """Write a cloud, whole or not at all. NPY, NPZ, PCD and PLY keep every field, .bin intensity, LAS and LAZ none.

    Raises DataError for what the format cannot hold.
    """
    write = _format(file).write
    if not len(cloud):
        raise DataError(f"{file}: a cloud without points is not written")
    for name in cloud.fields:
        if name.split() != [name] or name in (*AXES, "points"):
            raise DataError(f"a field cannot be named {name!r} in a file; give it one word of its own")
    file.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(file, write(cloud))


def _format(file: Path) -> Format:
    suffix = file.suffix.lower()
    if suffix not in FORMATS:
        raise DataError(f"{file}: no format of point clouds has the suffix {suffix!r}{nearest(suffix, FORMATS)}")
    return FORMATS[suffix]
