"""New weights for an engine: as tensors, in shared memory, as files, as an adapter, or broadcast by the learner."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from torch import Tensor

from espalier.engine.api import UpdateKind

if TYPE_CHECKING:
    from espalier.engine.channels.transfer import Sender


@dataclass(frozen=True, slots=True)
class Probe:
    """What the new weights say about a few sequences, to check that an engine serves these weights.

    logprobs: untempered, one for each token, 0 for the first. tolerance: largest difference that is accepted, relative
    to log-probs beyond 1 nat.
    """

    sequences: Sequence[Sequence[int]]
    logprobs: Sequence[Sequence[float]]
    tolerance: float = 1e-4


@dataclass(frozen=True, slots=True)
class TensorUpdate:
    """Tensors of this process, by Hugging Face parameter name."""

    kind: ClassVar[UpdateKind] = "tensors"
    version: int
    tensors: Mapping[str, Tensor]
    probe: Probe | None = None


@dataclass(frozen=True, slots=True)
class FileUpdate:
    """A Hugging Face folder: config.json and safetensors."""

    kind: ClassVar[UpdateKind] = "files"
    version: int
    folder: Path
    probe: Probe | None = None


@dataclass(frozen=True, slots=True)
class AdapterUpdate:
    """A PEFT folder of LoRA adapters; all other weights stay as they are."""

    kind: ClassVar[UpdateKind] = "adapter"
    version: int
    folder: Path
    probe: Probe | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The location of a tensor in shared memory. dtype: its name, such as `float32`. offset: in bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class SharedUpdate:
    """Tensors in a file of the machine's shared memory, for an engine in another process (`channels.shm`).

    stamp: offset of the number that says whether the tensors are whole.
    """

    kind: ClassVar[UpdateKind] = "shared"
    version: int
    file: Path
    places: Sequence[Place]
    stamp: int
    probe: Probe | None = None


@dataclass(frozen=True, slots=True)
class TransferUpdate:
    """Tensors of this process, by Hugging Face parameter name, to be broadcast to the workers of a server.

    senders: this process's end of each group that was formed, by the mark of the server's client (`Call.run`).
    connect: makes such an end for a number of workers.
    """

    kind: ClassVar[UpdateKind] = "transfer"
    version: int
    tensors: Mapping[str, Tensor]
    senders: MutableMapping[str, Sender]
    connect: Callable[[int], Sender]
    probe: Probe | None = None


WeightUpdate = TensorUpdate | SharedUpdate | FileUpdate | AdapterUpdate | TransferUpdate
