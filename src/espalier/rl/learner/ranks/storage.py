"""Checkpoints of tensors that are divided among ranks: torch's DCP, in safetensors.

Each rank writes its parts into a file of its own. They are read on any number of ranks, also by one process.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter
from torch.distributed.checkpoint.metadata import TensorStorageMetadata
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from espalier.core.errors import DataError, EspalierError, RunError
from espalier.rl.learner.ranks.tensors import divided, local


def save_parts(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Write the folder. A collective."""
    try:
        save(_vectors(tensors), storage_writer=HuggingFaceStorageWriter(str(folder), save_distributed=True))
    except CheckpointException as error:
        raise _cause(error, folder) from None


def saved_names(folder: Path) -> dict[str, list[int]]:
    """The names in a folder of parts, or in a file, with their shapes. Raises DataError if it cannot be read."""
    try:
        if folder.is_dir():
            found = HuggingFaceStorageReader(str(folder)).read_metadata().state_dict_metadata
            return {name: _shape(folder, name, entry) for name, entry in found.items()}
        with safe_open(folder, framework="pt") as file:
            return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError, ValueError, LookupError, TypeError) as error:
        raise DataError(f"{folder}: cannot be read as safetensors ({error})") from error


def _vectors(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The tensors, numbers as vectors of one: torch does not read parts without a dimension."""
    return {name: tensor.reshape(1) if tensor.ndim == 0 else tensor for name, tensor in tensors.items()}


def _cause(error: CheckpointException, place: Path) -> Exception:
    """What went wrong on the first rank that failed. torch's own exception is none that anybody catches."""
    rank, (cause, _) = min(error.failures.items())
    if isinstance(cause, OSError):
        return OSError(cause.errno, cause.strerror, str(place))
    return EspalierError(f"{place}: rank {rank}: {type(cause).__name__}: {cause}")


def check_parts(tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Raises RunError if a part of another rank is not there: it was written on another disk."""
    try:
        whole = saved_names(folder) == {name: list(t.shape) for name, t in _vectors(tensors).items()}
    except DataError:
        whole = False
    if not whole:
        raise RunError(
            f"{folder}: parts of other ranks are not there: put the run folder on a disk that all machines share, "
            "under the same path"
        )


def _shape(folder: Path, name: str, entry: object) -> list[int]:
    assert isinstance(entry, TensorStorageMetadata)
    if sum(math.prod(chunk.sizes) for chunk in entry.chunks) != math.prod(entry.size):
        raise DataError(f"{folder}: parts of {name} are missing")
    return list(entry.size)


@torch.no_grad()
def load_parts(place: Path, into: Mapping[str, Tensor], *, alone: bool) -> None:
    """Read the tensors named in `into`, in place, from a folder of parts or from a file of whole tensors. A collective,
    unless this process is `alone`.

    Raises DataError if one is missing, has another shape or cannot be read.
    """
    shapes = saved_names(place)
    for name, tensor in into.items():
        if name not in shapes or math.prod(shapes[name]) != tensor.numel():
            raise DataError(f"{place}: {name} is missing, or has another shape than {list(tensor.shape)}")
    if place.is_dir():
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="torch.distributed is disabled")  # it says what `alone` asks for
            try:
                load(_vectors(into), storage_reader=HuggingFaceStorageReader(str(place)), no_dist=alone)
            except CheckpointException as error:
                raise DataError(str(_cause(error, place))) from None
        return
    with safe_open(place, framework="pt") as file:
        for name, tensor in into.items():
            local(tensor).copy_(_read(file.get_slice(name), tensor) if tensor.ndim else file.get_tensor(name))


def _read(saved, tensor: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
    """This rank's part of a whole tensor in a file."""
    if not divided(tensor):
        return saved[:]
    from torch.distributed.tensor._utils import compute_local_shape_and_global_offset

    shape, offset = compute_local_shape_and_global_offset(tensor.shape, tensor.device_mesh, tensor.placements)  # type: ignore[attr-defined]
    return saved[tuple(slice(start, start + size) for start, size in zip(offset, shape, strict=True))]
