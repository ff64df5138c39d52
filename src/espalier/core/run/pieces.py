"""Finished pieces of a job: a JSON file each, with a checksum, so that a resumed run makes only what is missing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from espalier.core.errors import DataError
from espalier.core.io.files import write_json
from espalier.core.io.text import read_object

SUM = "sha256"


def write_piece(file: Path, value: Mapping[str, Any]) -> None:
    """Write `value`, whose keys are not `sha256`, in one step."""
    write_json(file, {**value, SUM: _digest(value)})


def read_piece(file: Path) -> dict[str, Any]:
    """What `write_piece` wrote. Raises DataError where the file is broken or bears no checksum."""
    content = read_object(file)
    if content.pop(SUM, None) != _digest(content):
        raise DataError(f"{file} is broken: its checksum differs or is missing")
    return content


def has_piece(file: Path, say: Callable[[str], None]) -> bool:
    """Whether a piece is there and whole. A broken one is as good as none; that is said."""
    if not file.exists():
        return False
    try:
        read_piece(file)
    except DataError as error:
        say(f"{error}: it is made again")
        return False
    return True


def _digest(value: Mapping[str, Any]) -> str:
    text = json.dumps(json.loads(json.dumps(value)), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
