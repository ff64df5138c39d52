"""New weights for an engine: as tensors, in shared memory, as files, or as an adapter."""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from espalier.core.errors import EngineError
from espalier.engine.api import UpdateKind

ALIGN = 64
"""Alignment in bytes of tensors in shared memory."""
SHARED = Path("/dev/shm")
"""Folder of files in memory; on other systems the folder for temporary files."""


@dataclass(frozen=True, slots=True)
class TensorUpdate:
    """Tensors of this process, by Hugging Face parameter name."""

    kind: ClassVar[UpdateKind] = "tensors"
    version: int
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class FileUpdate:
    """A Hugging Face folder: config.json and safetensors."""

    kind: ClassVar[UpdateKind] = "files"
    version: int
    folder: Path


@dataclass(frozen=True, slots=True)
class AdapterUpdate:
    """A PEFT folder of LoRA adapters; all other weights stay as they are."""

    kind: ClassVar[UpdateKind] = "adapter"
    version: int
    folder: Path


@dataclass(frozen=True, slots=True)
class Place:
    """The location of a tensor in shared memory. dtype: its name, such as `float32`. offset: in bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class SharedUpdate:
    """Tensors in a file of the machine's shared memory, for an engine in another process."""

    kind: ClassVar[UpdateKind] = "shared"
    version: int
    file: Path
    places: Sequence[Place]

    @contextmanager
    def tensors(self) -> Iterator[dict[str, Tensor]]:
        """The tensors by name, not to be used afterwards. Raises EngineError if the file is gone or too small."""
        try:
            with self.file.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as memory:
                found = {place.name: _view(memory, place) for place in self.places}
                try:
                    yield found
                finally:
                    found.clear()
        except (OSError, ValueError) as error:
            raise EngineError(f"the weights of version {self.version} are not in {self.file}: {error}") from error


WeightUpdate = TensorUpdate | SharedUpdate | FileUpdate | AdapterUpdate


def share(version: int, tensors: Mapping[str, Tensor]) -> SharedUpdate:
    """Copy `tensors` into a new file. The caller removes the file once every engine has loaded it.

    Raises EngineError, and leaves no file, where there is no room.
    """
    places, size = [], 0
    for name, tensor in tensors.items():
        places.append(Place(name, str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape), size))
        size += -(-tensor.nbytes // ALIGN) * ALIGN
    number, name = tempfile.mkstemp(prefix="espalier-", dir=SHARED if SHARED.is_dir() else None)
    reserve = getattr(os, "posix_fallocate", lambda number, _, size: os.ftruncate(number, size))  # macOS has none
    try:
        with os.fdopen(number, "r+b") as file:
            reserve(number, 0, max(size, 1))  # a full memory is an error here, not a signal later
            with mmap.mmap(number, 0) as memory:
                for place in places:
                    _view(memory, place).copy_(tensors[place.name].detach())
            file.flush()
    except OSError as error:
        Path(name).unlink(missing_ok=True)
        raise EngineError(f"no room for {size:,} bytes of weights in {Path(name).parent}: {error}") from error
    return SharedUpdate(version, Path(name), tuple(places))


def _view(memory: mmap.mmap, place: Place) -> Tensor:
    dtype = getattr(torch, place.dtype, None)
    if not isinstance(dtype, torch.dtype) or place.offset < 0 or min(place.shape, default=1) < 0:
        raise EngineError(
            f"the weight {place.name} is {place.dtype} {place.shape} in shared memory, which is not a valid tensor"
        )
    count = torch.Size(place.shape).numel()
    if place.offset + count * dtype.itemsize > len(memory):
        raise EngineError(f"the weight {place.name} reaches beyond the {len(memory)} bytes of shared memory")
    if count == 0:
        return torch.empty(place.shape, dtype=dtype)
    return torch.frombuffer(memory, dtype=dtype, count=count, offset=place.offset).view(place.shape)
