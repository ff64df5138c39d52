"""A checkpoint in any supported format: its config, weights, tokenizer and chat format."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import torch

from espalier.core.errors import ConfigError, DataError
from espalier.lm.chat.choice import ChatFormat
from espalier.lm.checkpoint.files import load_config, load_model
from espalier.lm.checkpoint.generation import load_generation
from espalier.lm.checkpoint.locate import is_gguf, locate
from espalier.lm.checkpoint.tokenizer_files import load_tokenizer
from espalier.lm.checkpoint.weights import read_decoder
from espalier.lm.config import DecoderConfig
from espalier.lm.decoder import Decoder
from espalier.lm.gguf.config import read_config
from espalier.lm.gguf.container import Container
from espalier.lm.gguf.tokenizer import end_tokens, read_tokenizer
from espalier.lm.gguf.weights import GgufWeights
from espalier.lm.tokens import Tokenizer


class Pretrained(Protocol):
    """A checkpoint. Raises ConfigError or DataError, naming the file, if a part is broken or not supported."""

    path: Path

    @property
    def config(self) -> DecoderConfig:
        """The decoder's shape. Reads no weights."""
        ...

    def decoder(self, dtype: torch.dtype) -> Decoder:
        """The decoder with its weights, on CPU."""
        ...

    def tokenizer(self) -> Tokenizer:
        """The tokenizer, with the chat template if there is one."""
        ...

    def chat_format(self, tokenizer: Tokenizer) -> ChatFormat:
        """The recorded chat format, else the default for the tokenizer."""
        ...

    def generation(self) -> dict[str, Any]:
        """The content of generation_config.json, or its equivalent."""
        ...


def open_pretrained(word: str) -> Pretrained:
    """The checkpoint that `word` names; see `espalier.lm.checkpoint.locate`."""
    path = locate(word)
    return GgufFile(path) if is_gguf(path) else Folder(path)


class Folder:
    """A Hugging Face folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def config(self) -> DecoderConfig:
        """See `Pretrained`."""
        return load_config(self.path)

    def decoder(self, dtype: torch.dtype) -> Decoder:
        """See `Pretrained`."""
        return load_model(self.path, dtype)

    def tokenizer(self) -> Tokenizer:
        """See `Pretrained`."""
        return load_tokenizer(self.path)

    def chat_format(self, tokenizer: Tokenizer) -> ChatFormat:
        """See `Pretrained`."""
        return ChatFormat.of_folder(self.path, tokenizer)

    def generation(self) -> dict[str, Any]:
        """See `Pretrained`."""
        return load_generation(self.path, self.config)


class GgufFile:
    """A GGUF file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def _container(self) -> Container:
        return Container(self.path)

    @cached_property
    def config(self) -> DecoderConfig:
        """See `Pretrained`."""
        return read_config(self._container)

    def decoder(self, dtype: torch.dtype) -> Decoder:
        """See `Pretrained`."""
        try:
            return read_decoder(self.config, GgufWeights(self._container, self.config), dtype)
        except ConfigError as error:
            raise ConfigError(f"{self.path}: {error}") from error

    def tokenizer(self) -> Tokenizer:
        """See `Pretrained`."""
        return read_tokenizer(self._container)

    def chat_format(self, tokenizer: Tokenizer) -> ChatFormat:
        """See `Pretrained`."""
        return ChatFormat.of_tokenizer(tokenizer)

    def generation(self) -> dict[str, Any]:
        """See `Pretrained`."""
        ends = end_tokens(self._container)
        for token in ends:
            if not 0 <= token < self.config.vocab_size:
                raise DataError(
                    f"{self.path}: {token} ends a text, and is not a token id below {self.config.vocab_size}"
                )
        return {"eos_token_id": ends}
