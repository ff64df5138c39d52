"""Weights in the machine's shared memory, for an engine in another process.

One file holds two buffers, which are written in turn, so that an engine can still read one version while the next is
written. Each buffer has a stamp: 0 while it is written, and `version + 1` once its last tensor is there. A reader looks
at the stamp before and after it copies, and so never takes half of one version and half of another.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from espalier.core.errors import EngineError
from espalier.engine.api import UpdateKind
from espalier.engine.updates import Place, SharedUpdate, TensorUpdate, WeightUpdate

ALIGN = 64
"""Alignment in bytes of tensors, and space of a stamp."""
BUFFERS = 2


class SharedMemory:
    """Implements `Channel`. The file is made with the first update.

    It lies in no folder, so that nothing is left of it when this process ends, however it ends: engines open it by the
    number that it has in this process.
    """

    kind: UpdateKind = "shared"

    def __init__(self) -> None:
        self._buffers: list[SharedUpdate] = []
        self._memory: mmap.mmap | None = None
        self._next = 0
        self._held: IO[bytes] | None = None

    def send(self, update: TensorUpdate) -> WeightUpdate:
        """See `Channel`. Every update must have the tensors of the first."""
        if self._memory is None:
            self._make(update.tensors)
        assert self._memory is not None
        buffer = self._buffers[self._next]
        self._next = (self._next + 1) % BUFFERS
        self._check(buffer, update.tensors)
        stamp = _stamp(self._memory, buffer)
        stamp.fill_(0)
        for place in buffer.places:
            _view(self._memory, place).copy_(update.tensors[place.name].detach())
        stamp.fill_(update.version + 1)
        return SharedUpdate(update.version, buffer.file, buffer.places, buffer.stamp, probe=update.probe)

    def close(self) -> None:
        """See `Channel`. Engines that have loaded the weights keep their copies."""
        self._buffers.clear()
        self._memory = None
        if self._held is not None:
            self._held.close()
            self._held = None

    def _make(self, tensors: Mapping[str, Tensor]) -> None:
        self._held = _file()
        number = self._held.fileno()
        file = Path(f"/proc/{os.getpid()}/fd/{number}")
        end = BUFFERS * ALIGN
        for buffer in range(BUFFERS):
            places = []
            for name, form in _forms(tensors).items():
                places.append(Place(name, *form, end))
                end += -(-tensors[name].nbytes // ALIGN) * ALIGN
            self._buffers.append(SharedUpdate(-1, file, tuple(places), buffer * ALIGN))
        try:
            os.posix_fallocate(number, 0, end)  # a full memory is an error here, not a signal later
            self._memory = _mapped(number, end)
        except OSError as error:
            self.close()
            raise EngineError(f"no room for {end:,} bytes of weights in shared memory: {error}") from error

    @staticmethod
    def _check(buffer: SharedUpdate, tensors: Mapping[str, Tensor]) -> None:
        expected = {place.name: (place.dtype, place.shape) for place in buffer.places}
        found = _forms(tensors)
        if expected != found:
            odd = min(expected.items() ^ found.items())[0]
            raise EngineError(f"the weights changed their form between two publishes: {odd}")


class SharedReader:
    """Reads updates, and keeps their file mapped between them: mapping anew would touch every page again."""

    def __init__(self) -> None:
        self._file: Path | None = None
        self._memory: mmap.mmap | None = None

    @contextmanager
    def tensors(self, update: SharedUpdate) -> Iterator[dict[str, Tensor]]:
        """The tensors by name, to be copied within.

        Raises EngineError if the file is gone or too small; at the end of the block, if the update was overwritten
        meanwhile, so that what was copied must not be used.
        """
        memory = self._open(update)
        stamp = _stamp(memory, update)
        found = {place.name: _view(memory, place) for place in update.places}
        _whole(stamp, update)
        yield found
        _whole(stamp, update)

    def _open(self, update: SharedUpdate) -> mmap.mmap:
        if self._memory is None or self._file != update.file:
            try:
                with update.file.open("r+b") as file:
                    self._memory, self._file = _mapped(file.fileno(), 0), update.file
            except (OSError, ValueError) as error:
                raise EngineError(
                    f"the weights of version {update.version} are not in {update.file}: {error}"
                ) from error
        return self._memory


def _forms(tensors: Mapping[str, Tensor]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Dtype and shape by name."""
    return {name: (str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape)) for name, tensor in tensors.items()}


def _file() -> IO[bytes]:
    """A new file in memory, without a name."""
    if not hasattr(os, "memfd_create"):
        raise EngineError("weights in shared memory need Linux: take engine.kind=local")
    return os.fdopen(os.memfd_create("espalier-weights"), "r+b")


def _mapped(number: int, size: int) -> mmap.mmap:
    """The file in memory, its pages in place, so that the first copy is as fast as the next."""
    flags = mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)
    return mmap.mmap(number, size, flags=flags)


def _whole(stamp: Tensor, update: SharedUpdate) -> None:
    if (found := int(stamp)) != update.version + 1:
        what = "is being written" if found == 0 else f"holds version {found - 1} by now"
        raise EngineError(f"the weights of version {update.version} cannot be read: their place {what}")


def _stamp(memory: mmap.mmap, update: SharedUpdate) -> Tensor:
    return _view(memory, Place("stamp", "int64", (), update.stamp))


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
