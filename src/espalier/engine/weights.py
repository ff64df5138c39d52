"""Loads new weights into a decoder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

import torch
from torch import Tensor, nn

from espalier.core.errors import DataError, EngineError
from espalier.engine.channels.shm import SharedReader
from espalier.engine.updates import AdapterUpdate, FileUpdate, SharedUpdate, TensorUpdate, TransferUpdate, WeightUpdate
from espalier.lm.checkpoint.files import load_model
from espalier.lm.decoder import Decoder
from espalier.lm.lora import adapted, read_adapters


def take(model: Decoder, update: WeightUpdate, *, alias: bool, reader: SharedReader | None = None) -> None:
    """Set the weights of `model` from `update`. `alias` shares the memory of tensors, otherwise they are copied.
    `reader` keeps shared memory mapped from one update to the next.

    Raises EngineError, before anything is changed, if they cannot be read or do not fit.
    """
    try:
        match update:
            case TensorUpdate():
                assign(model, update.tensors, alias=alias)
            case SharedUpdate():
                with (reader or SharedReader()).tensors(update) as tensors:
                    assign(model, tensors, alias=False)
            case FileUpdate():
                assign(model, load_model(update.folder).state_dict(), alias=False)
            case AdapterUpdate():
                _take_adapters(model, update)
            case TransferUpdate():
                raise EngineError("weights that are broadcast to a server cannot be loaded in this process")
            case _:
                assert_never(update)
    except DataError as error:
        raise EngineError(f"the weights of version {update.version} cannot be loaded: {error}") from error


@torch.no_grad()
def _take_adapters(model: Decoder, update: AdapterUpdate) -> None:
    if not adapted(model):
        raise EngineError("the engine's model has no adapters to replace: build it with model.lora")
    own = model.state_dict()
    for name, tensor in read_adapters(model, update.folder).items():
        own[name].copy_(tensor)


@torch.no_grad()
def assign(model: nn.Module, tensors: Mapping[str, Tensor], *, alias: bool) -> None:
    """Set the `tensors` of `model`: one for each parameter, and buffers if given.

    `alias` shares the memory of parameters, otherwise they are copied. Raises EngineError, before anything is changed,
    if a name is missing or unknown or a shape differs.
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


@torch.no_grad()
def round_matrices(model: nn.Module) -> None:
    """Round each matrix [out, in] to the nearest multiples of its largest magnitude in a row over 127, in place."""
    for parameter in model.parameters():
        if parameter.ndim == 2:
            scale = parameter.abs().amax(dim=1, keepdim=True).clamp_min(torch.finfo(parameter.dtype).tiny) / 127
            parameter.copy_((parameter / scale).round() * scale)


def _some(names: set[str]) -> str:
    shown = sorted(names)[:3]
    return ", ".join(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "") if shown else "none"
