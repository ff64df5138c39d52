"""The tokenizer of a Hugging Face folder: tokenizer.json, the files that name its special tokens, and the chat
template.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tokenizers

from espalier.core.errors import ConfigError, DataError
from espalier.core.io.text import read_object, read_text
from espalier.lm.tokens import Tokenizer, token_name

_EOS = ("<|endoftext|>", "<|end_of_text|>", "<|im_end|>", "<|eot_id|>", "</s>", "<eos>")
"""Names that end a text in published vocabularies, tried where no tokenizer_config.json says."""


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a Hugging Face folder, or of a `tokenizer.json` (other files in its folder are read too).

    Raises ConfigError if there is none or no token is defined as the end of text, DataError if a file is broken.
    """
    folder, file = (path, path / "tokenizer.json") if path.is_dir() else (path.parent, path)
    if not file.is_file():
        raise ConfigError(f"no tokenizer at {file}: name a folder that holds tokenizer.json, or that file")
    backend = _backend(file)
    config = _read_json(folder / "special_tokens_map.json") | _read_json(folder / "tokenizer_config.json")
    if token_name(config, "eos_token") is None:
        found = next((name for name in _EOS if backend.token_to_id(name) is not None), None)
        if found is None:
            raise ConfigError(f"{folder}: no eos_token: add it to tokenizer_config.json")
        config["eos_token"] = found
    try:
        return Tokenizer(backend, config, _template(folder, config))
    except ConfigError as error:
        raise ConfigError(f"{folder / 'tokenizer_config.json'}: {error}") from error


def _backend(file: Path) -> tokenizers.Tokenizer:
    """The library's tokenizer of a `tokenizer.json`. Raises DataError where it is none."""
    content = read_text(file)
    try:
        return tokenizers.Tokenizer.from_str(content)
    except Exception as error:  # the library raises bare Exception for a malformed file
        raise DataError(f"{file}: not a tokenizer file ({error})") from error


def _template(folder: Path, config: Mapping[str, Any]) -> str | None:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return read_text(file)
    template = config.get("chat_template")
    if isinstance(template, list):  # several named ones
        named = {t.get("name"): t.get("template") for t in template if isinstance(t, dict)}
        template = named.get("default")
    if template is not None and not isinstance(template, str):
        raise DataError(f"{folder / 'tokenizer_config.json'}: chat_template is not text")
    return template


def _read_json(file: Path) -> dict[str, Any]:
    return read_object(file) if file.is_file() else {}
