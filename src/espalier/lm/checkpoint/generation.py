"""generation_config.json: the tokens that end a text, and other sampling settings of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from espalier.core.errors import DataError
from espalier.core.io.files import write_json
from espalier.core.io.text import read_object
from espalier.lm.config import DecoderConfig

FILE = "generation_config.json"


def load_generation(folder: Path, config: DecoderConfig) -> dict[str, Any]:
    """The content of the file; without it, the token ids of config.json, as in transformers.

    Raises DataError, naming the file, if it is broken or `eos_token_id` has anything but ids of the vocabulary.
    """
    file = folder / FILE
    if not file.is_file():
        return {"eos_token_id": config.eos_token_id}
    content = read_object(file)
    for token in _listed(content.get("eos_token_id")):
        if type(token) is not int or not 0 <= token < config.vocab_size:
            raise DataError(f"{file}: eos_token_id: {token!r} is not a token id below {config.vocab_size}")
    return content


def stop_tokens(generation: Mapping[str, Any]) -> tuple[int, ...]:
    """The tokens that end a text."""
    return tuple(_listed(generation.get("eos_token_id")))


def save_generation(generation: Mapping[str, Any], stop: Iterable[int], folder: Path) -> None:
    """Write the file with `stop` as the tokens that end a text."""
    write_json(folder / FILE, {**generation, "eos_token_id": list(stop)})


def _listed(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, (list, tuple)) else [value]
