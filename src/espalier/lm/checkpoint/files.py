"""Hugging Face folders: config.json and safetensors, in one file or in shards with an index. Nothing is unpickled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from espalier.core.errors import ConfigError, DataError
from espalier.core.io.files import temporary, write_json
from espalier.core.io.text import read_object
from espalier.lm.checkpoint import expert_names
from espalier.lm.checkpoint.hf_config import from_hf, to_hf
from espalier.lm.checkpoint.tensors import save_tensors
from espalier.lm.checkpoint.weights import named, read_decoder
from espalier.lm.config import DecoderConfig
from espalier.lm.decoder import Decoder

T = TypeVar("T")
CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"


def save_model(model: Decoder, path: Path) -> None:
    """Write config.json and model.safetensors into the folder `path`, made if needed; each file is written
    atomically.

    transformers, vLLM and SGLang load the folder. To replace a whole folder in one step, save into
    `espalier.core.io.files.atomic_dir`. Raises ConfigError for a model with adapters: merge or save those.
    """
    save_weights(model.config, named(model), path)


def save_weights(config: DecoderConfig, weights: Mapping[str, Tensor], path: Path) -> None:
    """Like `save_model`, from the weights of a decoder by their names in it."""
    if any(".lora_" in name for name in weights):
        raise ConfigError("the model has LoRA adapters: save them with save_adapters, or merge them first")
    path.mkdir(parents=True, exist_ok=True)
    with temporary(path / WEIGHTS, folder=False) as temp:
        save_tensors(expert_names.separate(weights), temp, {"format": "pt"})
        temp.replace(path / WEIGHTS)
    (path / INDEX).unlink(missing_ok=True)
    dtype = str(next(iter(weights.values())).dtype).removeprefix("torch.")
    write_json(path / CONFIG, {**to_hf(config), "dtype": dtype})


def load_config(path: Path) -> DecoderConfig:
    """Read config.json of the folder `path`. Raises ConfigError or DataError that names the file."""
    file = path / CONFIG
    try:
        return from_hf(read_object(file))
    except ConfigError as error:
        raise ConfigError(f"{file}: {error}") from error


def load_model(path: Path, dtype: torch.dtype = torch.float32) -> Decoder:
    """Read a decoder from the Hugging Face folder `path`, its weights converted to `dtype`, on CPU.

    Raises DataError, naming tensor and file, if a tensor is missing, unexpected or of another shape, before memory is
    allocated.
    """
    config = load_config(path)
    try:
        return read_decoder(config, FolderWeights(path), dtype)
    except ConfigError as error:
        raise ConfigError(f"{path / CONFIG}: {error}") from error


class FolderWeights:
    """The safetensors of a folder."""

    shaped_by = CONFIG

    def __init__(self, path: Path) -> None:
        self.path = path

    def shapes(self) -> Iterator[tuple[Path, str, list[int]]]:
        """See `Weights`."""
        for file in self._shards:
            for name, shape in _read(file, lambda shard, name: shard.get_slice(name).get_shape()):
                yield file, name, shape

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """See `Weights`."""
        for file in self._shards:
            yield from _read(file, lambda shard, name: shard.get_tensor(name))

    @cached_property
    def _shards(self) -> list[Path]:
        path, index = self.path, self.path / INDEX
        if (path / WEIGHTS).exists():
            return [path / WEIGHTS]
        if not index.exists():
            raise DataError(f"{path}: there is neither {WEIGHTS} nor {INDEX}; weights in other formats are not read")
        places = read_object(index).get("weight_map")
        if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
            raise DataError(f"{index}: there is no weight_map from tensors to files")
        return [path / name for name in sorted(set(places.values()))]


def _read(file: Path, get: Callable[[Any, str], T]) -> Iterator[tuple[str, T]]:
    """The names of a shard's tensors, and what `get` takes from the shard for each."""
    try:
        with safe_open(file, framework="pt") as shard:
            for name in shard.keys():  # noqa: SIM118 (a shard is no mapping)
                yield name, get(shard, name)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{file}: cannot be read as safetensors ({error})") from error
