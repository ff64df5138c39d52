"""Weights broadcast from the learner's GPU to the workers of vLLM's servers, without a file between them.

The learner and the workers of one server are a group of NCCL, in which the learner has rank 0. `http.transfer` tells a
server when to join the group and what to receive.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.cuda import nccl

from espalier.core.errors import ConfigError
from espalier.engine.api import UpdateKind
from espalier.engine.updates import TensorUpdate, TransferUpdate, WeightUpdate
from espalier.lm.checkpoint import expert_names
from espalier.lm.decoder import Decoder
from espalier.lm.lora import lora_shape, merged_tensors

BUCKET_BYTES = 1 << 30
"""Weights that a server is told of, and sent, at a time."""


class Sender(Protocol):
    """The learner's end of a group."""

    @property
    def invitation(self) -> Mapping[str, Any]:
        """What tells the workers which group to join, as JSON."""
        ...

    def join(self) -> None:
        """Form the group. Returns when all workers have joined."""
        ...

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """Send tensors to all workers, in this order. Returns when they are sent."""
        ...


class Transfer:
    """Implements `Channel`. Updates hold copies on the learner's GPU, as an engine that returns may need the weights
    while the learner changes its own.

    connect: the learner's end of a new group, from the number of workers.
    """

    kind: UpdateKind = "transfer"

    def __init__(self, model: Decoder, connect: Callable[[int], Sender] | None = None) -> None:
        """Without `connect`, raises ConfigError for a model that is not on a GPU."""
        self._rank, self._alpha = lora_shape(model)
        device = next(model.parameters()).device
        if connect is None and device.type != "cuda":
            raise ConfigError(
                f"engine.vllm.transfer needs a model on a GPU, and this one is on {device}: vLLM registers no "
                "transport for CPU; publish through files (leave engine.vllm.transfer out)"
            )
        self._connect = connect or partial(Nccl, device)
        self._senders: dict[str, Sender] = {}

    def send(self, update: TensorUpdate) -> WeightUpdate:
        """See `Channel`. Nothing is sent yet: each server receives when it loads."""
        whole = merged_tensors(update.tensors, self._rank, self._alpha)
        copies = {
            name: tensor.detach().clone(memory_format=torch.contiguous_format)
            for name, tensor in expert_names.separate(whole).items()
        }
        return TransferUpdate(update.version, copies, self._senders, self._connect, update.probe)

    def close(self) -> None:
        """See `Channel`."""
        self._senders.clear()


class Nccl:
    """Implements `Sender` for workers that take a unique id of NCCL: a group without a store, whose first collective is
    the sum of one number (the source of vLLM 0.32.0).

    It has not been run on a GPU. That PyTorch's NCCL and vLLM's form one group is inferred.
    """

    def __init__(self, device: torch.device, workers: int) -> None:
        self._size = workers + 1
        self._id: bytes = nccl.unique_id()
        self._stream = torch.cuda.Stream(device)
        self._group: Any = None

    @property
    def invitation(self) -> Mapping[str, Any]:
        """See `Sender`."""
        return {"nccl_unique_id_b64": base64.b64encode(self._id).decode()}

    def join(self) -> None:
        """See `Sender`."""
        with torch.cuda.stream(self._stream):
            self._group = nccl.init_rank(self._size, self._id, 0)
            nccl.all_reduce([torch.zeros(1, device=self._stream.device)], comms=[self._group])
        self._stream.synchronize()

    def broadcast(self, tensors: Sequence[Tensor]) -> None:
        """See `Sender`. On a stream of its own: a server that is lost holds up no work of the learner."""
        self._stream.wait_stream(torch.cuda.default_stream(self._stream.device))
        with torch.cuda.stream(self._stream):
            for tensor in tensors:
                nccl.broadcast([tensor], comms=[self._group])
        self._stream.synchronize()


def buckets(tensors: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """The tensors in order, in parts of at most BUCKET_BYTES, or of a single tensor that is larger."""
    found, size = dict[str, Tensor](), 0
    for name, tensor in tensors.items():
        if found and size + tensor.nbytes > BUCKET_BYTES:
            yield found
            found, size = {}, 0
        found[name] = tensor
        size += tensor.nbytes
    yield found
