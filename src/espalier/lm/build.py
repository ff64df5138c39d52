"""Builds a model for sampling and training from the recipe's `model:` section."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from espalier.core.errors import ConfigError, DataError
from espalier.core.io.files import atomic_dir
from espalier.core.seed import derive
from espalier.lm.chat import Renderer
from espalier.lm.chat.choice import ChatFormat
from espalier.lm.checkpoint.files import save_model
from espalier.lm.checkpoint.generation import save_generation, stop_tokens
from espalier.lm.checkpoint.pretrained import open_pretrained
from espalier.lm.checkpoint.tokenizer_files import load_tokenizer
from espalier.lm.config import ModelConfig
from espalier.lm.decoder import Decoder
from espalier.lm.lora import adapted, inject, merge, merged, save_adapters
from espalier.lm.presets import decoder_config
from espalier.lm.tokens import PLAIN_CONTROL, Tokenizer, char_tokenizer, train_bpe


@dataclass(slots=True)
class LanguageModel:
    """A decoder with its tokenizer and chat format."""

    decoder: Decoder
    tokenizer: Tokenizer
    renderer: Renderer
    format: ChatFormat
    generation: Mapping[str, Any]
    """The content of generation_config.json."""

    def save(self, path: Path, *, keep: bool = True) -> None:
        """Save model and tokenizer as a Hugging Face folder at `path`, in one step; an existing folder is replaced.

        The chat format and all stop tokens are recorded, so that the folder is served as the model was trained. LoRA
        adapters are merged into the saved weights, and also saved separately in `adapters/`. keep: the decoder keeps
        its adapters, which takes a copy of it in memory; without it they are merged in place.
        """
        with atomic_dir(path) as folder:
            if adapted(self.decoder):
                save_adapters(self.decoder, folder / "adapters")
                if not keep:
                    merge(self.decoder)
            save_model(merged(self.decoder), folder)
            self.tokenizer.save(folder)
            self.format.save(folder)
            save_generation(self.generation, self.renderer.stop, folder)


def build(config: ModelConfig, *, seed: int, texts: Iterable[str] = ()) -> LanguageModel:
    """The model of the section: loaded from `pretrained`, or built from a preset with random weights from `seed`.

    `texts` train a bpe tokenizer, or give a char tokenizer its alphabet. Raises ConfigError or DataError if the
    section, the files and the texts do not fit together.
    """
    dtype = torch.bfloat16 if config.dtype == "bfloat16" else torch.float32
    if config.pretrained is not None:
        source = open_pretrained(config.pretrained)
        decoder, tokenizer = source.decoder(dtype), source.tokenizer()
        if tokenizer.vocab_size > decoder.config.vocab_size:
            raise DataError(
                f"{source.path}: the tokenizer has {tokenizer.vocab_size} tokens, the model {decoder.config.vocab_size}"
            )
        recorded, generation = source.chat_format(tokenizer), source.generation()
    else:
        tokenizer = _tokenizer(config, texts)
        recorded, generation = ChatFormat.of_tokenizer(tokenizer), {}
    chosen = {"renderer": config.renderer, "thinking": config.thinking}
    form = recorded.model_copy(update={name: value for name, value in chosen.items() if value is not None})
    renderer = form.speak(tokenizer)
    renderer.stop = tuple(dict.fromkeys([*renderer.stop, *stop_tokens(generation)]))
    if config.pretrained is None:
        tokens = {"vocab_size": tokenizer.vocab_size, "pad_token_id": tokenizer.pad_id, "eos_token_id": renderer.stop}
        decoder = Decoder(decoder_config(config, **tokens)).to(dtype)
        decoder.reset(derive(seed, "model"))
    if config.lora is not None:
        inject(decoder, config.lora, seed=derive(seed, "lora"))
    return LanguageModel(decoder.to(device_of(config)), tokenizer, renderer, form, generation)


PRINTABLE = "\n" + "".join(map(chr, range(32, 127)))
"""Characters that a char tokenizer covers besides those of the sample texts, because later texts may contain others."""


def _tokenizer(config: ModelConfig, texts: Iterable[str]) -> Tokenizer:
    section, plain = config.tokenizer, config.renderer != "glm"
    if section.kind == "char":
        return char_tokenizer(section.alphabet or [PRINTABLE, *texts])
    if section.kind == "bpe":
        pad, end, *markers = PLAIN_CONTROL
        roles = {"special": (end, pad, *markers), "markup": ()} if plain else {}
        return train_bpe(texts, section.vocab_size, **roles)
    if section.path is None:
        raise ConfigError("model.tokenizer.kind=file needs model.tokenizer.path")
    return load_tokenizer(section.path)


def device_of(config: ModelConfig) -> torch.device:
    """`model.device`, decided. Raises ConfigError if there is none."""
    if config.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("model.device=cuda: torch finds no CUDA device; use auto or cpu")
    return torch.device(config.device)
