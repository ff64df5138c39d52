"""Tensors and modules that may be divided among ranks (torch's DTensor). A tensor that is not is returned as it is.

DTensor is imported only where there is one: the import takes most of a second.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def divided(tensor: Tensor) -> bool:
    """Whether the tensor is divided among ranks."""
    return hasattr(tensor, "full_tensor")


def local(tensor: Any) -> Tensor:
    """This rank's part, which shares its memory."""
    part: Tensor = tensor.to_local() if divided(tensor) else tensor
    return part


def whole(tensor: Any) -> Tensor:
    """The whole tensor. A collective: all ranks call it for the same tensors in the same order."""
    gathered: Tensor = tensor.full_tensor() if divided(tensor) else tensor
    return gathered


def joined(part: Tensor, like: Any) -> Tensor:
    """The tensor of which this rank has `part`, of the shape of `like` and divided as it is."""
    if not divided(like):
        return part
    from torch.distributed.tensor import DTensor

    return DTensor.from_local(
        part, like.device_mesh, like.placements, run_check=False, shape=like.shape, stride=like.stride()
    )


def joined_stack(parts: Tensor, like: Any) -> Tensor:
    """[n, ...] whole, from this rank's part of n tensors that are divided as `like` is. A collective."""
    from torch.distributed.tensor import DTensor

    shape = torch.Size((len(parts), *like.shape))
    stride = torch.empty(shape, device="meta").stride()
    stack = DTensor.from_local(parts, like.device_mesh, _stacked(like), run_check=False, shape=shape, stride=stride)
    return stack.full_tensor()


def part_of_stack(full: Tensor, like: Any) -> Tensor:
    """The inverse of `joined_stack`, without communication."""
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(full, like.device_mesh, _stacked(like), src_data_rank=None).to_local()


def _stacked(like: Any) -> list[Any]:
    from torch.distributed.tensor import Shard

    return [Shard(one.dim + 1) if one.is_shard() else one for one in like.placements]


def empty_like(tensor: Tensor) -> Tensor:
    """Zeros of the same shape, type and division, contiguous."""
    return torch.zeros_like(tensor, memory_format=torch.contiguous_format)


def settle(module: nn.Module) -> None:
    """After a forward pass without gradient: divide the weights again that it left whole."""
    if callable(reshard := getattr(module, "reshard", None)):
        reshard()
