"""Loads the named tensors of a checkpoint, of any file format, into a decoder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from espalier.core.errors import ConfigError, DataError
from espalier.lm.checkpoint import expert_names
from espalier.lm.config import DecoderConfig
from espalier.lm.decoder import Decoder


class Weights(Protocol):
    """A checkpoint's tensors, by the names that they have in Hugging Face folders."""

    @property
    def path(self) -> Path:
        """The file or folder, for messages."""
        ...

    @property
    def shaped_by(self) -> str:
        """The name of what determines the shapes, for messages: config.json."""
        ...

    def shapes(self) -> Iterator[tuple[Path, str, list[int]]]:
        """File, name and shape of each tensor. Reads no weights."""
        ...

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """Name and value of each tensor, on CPU."""
        ...


def read_decoder(config: DecoderConfig, weights: Weights, dtype: torch.dtype = torch.float32) -> Decoder:
    """The decoder with these weights, converted to `dtype`, on CPU.

    Raises DataError, naming tensor and file, if a tensor is missing, unexpected or of another shape, before memory is
    allocated.
    """
    _check(outline(config), weights)
    model = Decoder(config)
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
    own = named(model)
    for name, tensor in weights.tensors():
        if not _ignored(name, config) and (found := expert_names.place(name, own)) is not None:
            found[1].copy_(tensor)
    return model


def outline(config: DecoderConfig) -> Decoder:
    """The decoder without memory for its weights. Raises ConfigError if no model can have this shape."""
    try:
        with torch.device("meta"):
            return Decoder(config)
    except (OverflowError, TypeError, RuntimeError) as error:
        raise ConfigError(f"no model can have this shape: {str(error).partition(chr(10))[0]}") from None


def named(model: Decoder) -> dict[str, Tensor]:
    """The model's tensors by their names; they share its memory."""
    return {name: tensor.detach() for name, tensor in model.state_dict().items()}


def _check(model: Decoder, weights: Weights) -> None:
    own, seen = named(model), set[str]()
    room = {name: tensor.numel() for name, tensor in own.items()}
    for file, name, shape in weights.shapes():
        if _ignored(name, model.config):
            continue
        if name in seen:
            raise DataError(f"{file}: tensor {name} occurs twice")
        seen.add(name)
        found = expert_names.place(name, own)
        if found is None:
            raise DataError(
                f"{file}: tensor {name} does not belong to a {model.config.family} model of this {weights.shaped_by}"
            )
        target, part = found
        if list(part.shape) != shape:
            raise DataError(f"{file}: tensor {name} has shape {shape}, {weights.shaped_by} requires {list(part.shape)}")
        room[target] -= part.numel()
    missing = [name for name, rest in room.items() if rest > 0]
    if missing:
        raise DataError(
            f"{weights.path}: tensor {missing[0]} is missing" + (f", and {len(missing) - 1} more" * (len(missing) > 1))
        )


def _ignored(name: str, config: DecoderConfig) -> bool:
    """Old rotary tables, a tied head stored all the same, and GLM-4.5's layer for predicting further tokens."""
    tied = config.tie_word_embeddings and name == "lm_head.weight"
    further = config.family == "glm4_moe" and name.startswith(f"model.layers.{config.num_hidden_layers}.")
    return tied or further or name.endswith("rotary_emb.inv_freq")
