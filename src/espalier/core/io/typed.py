"""JSON files of a known form."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from espalier.core.errors import DataError
from espalier.core.io.text import parse_json, read_text

T = TypeVar("T")


def read_typed(path: Path, form: TypeAdapter[T]) -> T:
    """What a JSON file holds. Raises DataError, naming file and key, where it cannot be read or is of another form."""
    text = read_text(path)
    parse_json(text, str(path))
    try:
        return form.validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise DataError(f"{path}: {f'{key}: ' if key else ''}{first['msg']}") from None
