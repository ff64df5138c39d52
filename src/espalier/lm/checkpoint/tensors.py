"""Tensors in safetensors files, with errors that name the file."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from espalier.core.errors import DataError


def save_tensors(tensors: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str] | None = None) -> None:
    """Write the file. Raises OSError if the system reports an error, which safetensors wraps into its own error
    type.
    """
    try:
        save_file({name: t.detach().contiguous() for name, t in tensors.items()}, path, dict(metadata or {}) or None)
    except SafetensorError as error:
        if (code := re.search(r"os error (\d+)", str(error))) is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from None


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read the file. Raises DataError if it is missing or broken."""
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(f"{path}: cannot be read as safetensors ({error})") from error
