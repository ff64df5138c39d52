"""Taking new weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from espalier.core.errors import EngineError


@torch.no_grad()
def assign(model: nn.Module, tensors: Mapping[str, Tensor], *, alias: bool) -> None:
    """Give `model` the `tensors`: one for each parameter, buffers too where they come along.

    `alias` shares the memory of parameters, otherwise they are copied. Raises EngineError, before anything is changed,
    where a name is missing or unknown or a shape differs.
    """
    own, parameters = model.state_dict(), dict(model.named_parameters())
    missing, unknown = parameters.keys() - tensors.keys(), tensors.keys() - own.keys()
    if missing or unknown:
        raise EngineError(
            f"the weight update does not fit the model: missing {_some(missing)}; unknown {_some(unknown)}"
        )
    for name, tensor in tensors.items():
        if own[name].shape != tensor.shape:
            raise EngineError(
                f"the weight update's {name} has shape {tuple(tensor.shape)}, the model's has {tuple(own[name].shape)}"
            )
    for name, tensor in tensors.items():
        if own[name].data_ptr() == tensor.data_ptr():
            continue
        if alias and name in parameters:
            parameters[name].data = tensor.detach()
        else:
            own[name].copy_(tensor)


def _some(names: set[str]) -> str:
    shown = sorted(names)[:3]
    return ", ".join(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "") if shown else "none"
