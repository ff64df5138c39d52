"""Divides the weights of models among ranks (FSDP2), and puts them together again."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard

from espalier.lm.decoder import Decoder
from espalier.rl.learner.ranks.tensors import whole

M = TypeVar("M", bound=nn.Module)


def skeleton(module: M) -> M:
    """A copy of `module` whose tensors have no memory (torch's meta device)."""
    held: dict[int, Tensor] = {}
    for parameter in module.parameters():
        bare = torch.empty_like(parameter, device="meta")
        held[id(parameter)] = nn.Parameter(bare, requires_grad=parameter.requires_grad)
    for buffer in module.buffers():
        held[id(buffer)] = torch.empty_like(buffer, device="meta")
    return copy.deepcopy(module, held)


def shard(bare: M, mesh: DeviceMesh, device: torch.device) -> M:
    """Divide the weights of a `skeleton` among the ranks of `mesh`: those of each layer together, and the others.

    Gradients are sums over the ranks, as every loss is divided by counts of the whole step.
    """
    for decoder in (module for module in bare.modules() if isinstance(module, Decoder)):
        for layer in decoder.model.layers:
            fully_shard(layer, mesh=mesh)
    fully_shard(bare, mesh=mesh)
    for module in bare.modules():
        if isinstance(module, FSDPModule):
            module.set_gradient_divide_factor(1.0)
            module.set_force_sum_reduction_for_comms(True)  # gloo has no other
    bare.to_empty(device=device)
    warnings.filterwarnings("ignore", message="FSDP2-wrapped module .* returned a view tensor")  # nobody writes to it
    return bare


def fill(module: nn.Module, weights: Mapping[str, Tensor] | None) -> None:
    """Set the weights, which rank 0 has and sends to the others."""
    options = StateDictOptions(full_state_dict=True, broadcast_from_rank0=True, strict=True)
    set_model_state_dict(module, dict(weights or {}), options=options)


@torch.no_grad()
def gathered(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every trained weight whole, one after another. A collective."""
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            yield name, whole(parameter.detach())
