"""Resolves `model.pretrained`: a folder, a GGUF file, a model of the data cache, or a model of the Hugging Face hub."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

from espalier.core.errors import ConfigError, MissingExtraError, nearest
from espalier.core.fetch.catalogue import ITEMS

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
PARTS = ("*.json", "*.safetensors", "*.jinja")
"""The files of a hub model that are downloaded; weights in other formats are not read."""


def locate(word: str) -> Path:
    """The folder or GGUF file that `word` names, searched in this order.

    1. A folder or file of that path. 2. A name that `espalier data list` shows. 3. `organisation/name` on the Hugging
    Face hub: in its local cache (HF_HOME), else downloaded. Raises ConfigError or DataError that says what to do.
    """
    path = Path(word)
    if word and _exists(path):
        return path
    if word in ITEMS:
        return ITEMS[word].found()
    if _HUB_NAME.fullmatch(word) and path.suffix != ".gguf":
        return _of_hub(word)
    raise ConfigError(
        f"there is no model {word!r}: name a Hugging Face folder, a GGUF file, a model of the hub as organisation/name,"
        f" or one that `espalier data list` shows{nearest(word, ITEMS)}"
    )


def is_gguf(path: Path) -> bool:
    """Whether a path that `locate` found is a GGUF file, rather than a folder."""
    return path.is_file()


def _exists(path: Path) -> bool:
    try:
        return path.is_dir() or path.is_file()
    except OSError:  # a name that is too long
        return False


def _of_hub(name: str) -> Path:
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtraError("huggingface_hub", "rl") from error
    with contextlib.suppress(Exception):  # not in the cache; the library's errors differ by version
        path = Path(huggingface_hub.snapshot_download(name, allow_patterns=list(PARTS), local_files_only=True))
        if (path / "config.json").is_file() and any(path.glob("*.safetensors")):  # the snapshot may be a part
            return path
    try:
        return Path(huggingface_hub.snapshot_download(name, allow_patterns=list(PARTS)))
    except Exception as error:  # of the network, the hub or the name; the library's errors differ by version
        why = str(error).strip().partition("\n")[0][:200]
        raise ConfigError(
            f"there is no folder {name} here, the Hugging Face cache has no such model, and it cannot be downloaded "
            f"({why}). Check the name and the network (HF_HUB_OFFLINE=1 forbids downloads), or copy the model's folder "
            "to this machine and name it; HF_HOME names the cache"
        ) from None
