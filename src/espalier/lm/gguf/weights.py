"""The tensors of a GGUF file as float32, by the names of Hugging Face folders."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from espalier.core.errors import DataError
from espalier.lm.config import DecoderConfig
from espalier.lm.gguf.container import Container, TensorInfo
from espalier.lm.gguf.dequantise import dequantise
from espalier.lm.gguf.names import hf_name, interleaved


class GgufWeights:
    """See `espalier.lm.checkpoint.weights.Weights`. One tensor, or one expert's matrix, is decoded at a time."""

    shaped_by = "file's metadata"

    def __init__(self, container: Container, config: DecoderConfig) -> None:
        self.container, self.config = container, config

    @property
    def path(self) -> Path:
        """The file."""
        return self.container.path

    def shapes(self) -> Iterator[tuple[Path, str, list[int]]]:
        """See `Weights`."""
        for tensor in self.container.tensors.values():
            shape = list(tensor.shape)
            for name in self._names(tensor):
                yield self.path, name, shape[1:] if self._stacked(tensor) else shape

    def tensors(self) -> Iterator[tuple[str, Tensor]]:
        """See `Weights`."""
        for tensor in self.container.tensors.values():
            names, rows = self._names(tensor), self.container.rows(tensor)
            shape = tensor.shape[1:] if self._stacked(tensor) else tensor.shape
            for name, part in zip(names, rows.reshape(len(names), -1, rows.shape[-1]), strict=True):
                value = torch.from_numpy(dequantise(part, tensor.kind)).view(shape)
                yield name, self._ordered(value, tensor.name)

    def _names(self, tensor: TensorInfo) -> list[str]:
        """The names that the tensor has elsewhere: one, or one for each of the experts stacked in it."""
        if tensor.name == "rope_freqs.weight":  # read by `config`
            return []
        name = hf_name(tensor.name, self.config.family)
        if name is None:
            raise DataError(f"{self.path}: tensor {tensor.name} is not known in the {self.config.family} family")
        return [name.format(e) for e in range(tensor.shape[0])] if self._stacked(tensor) else [name]

    def _stacked(self, tensor: TensorInfo) -> bool:
        return "_exps." in tensor.name and len(tensor.shape) == 3

    def _ordered(self, value: Tensor, name: str) -> Tensor:
        """Rows of a head in the order of Hugging Face's Llama, which rotates dimensions half a head apart.

        llama.cpp rotates neighbours, and its converter has permuted the rows of queries and keys so.
        """
        if not interleaved(name, self.config.family):
            return value
        return value.view(-1, self.config.head_dim // 2, 2, *value.shape[1:]).transpose(1, 2).reshape(value.shape)
