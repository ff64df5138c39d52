"""What a run warned of, kept for its report: JSON lines of `step`, `seconds` and `text`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError

from espalier.core.errors import DataError
from espalier.core.io.jsonlines import JsonLines, read_lines

MOST = 1000
"""Warnings that are kept; a run that warns more often says nothing new."""


@dataclass(frozen=True, slots=True)
class Warned:
    """One warning. `step` is None where it belongs to no step; `seconds` is the run's age."""

    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)

    text: str
    step: int | None = None
    seconds: float = 0.0


_WARNED = TypeAdapter(Warned)


class WarningLog:
    """Appends to `path`, which is made with the first warning. `seconds` tells the run's age."""

    def __init__(self, path: Path, *, seconds: Callable[[], float]) -> None:
        self._lines = JsonLines(path)
        self._seconds = seconds
        self._kept = sum(1 for _ in read_lines(path))

    def add(self, text: str, step: int | None = None) -> None:
        """Keep a warning."""
        if self._kept < MOST:
            self._kept += 1
            self._lines.append({"text": text, "step": step, "seconds": round(self._seconds(), 3)})


def parsed(value: Any, where: str) -> Warned:
    """A line's value. Raises DataError for what `WarningLog.add` does not write."""
    try:
        return _WARNED.validate_python(value)
    except ValidationError as error:
        raise DataError(f"{where}: {error.errors()[0]['msg']}; the file may be deleted") from None


def read_warnings(path: Path) -> list[Warned]:
    """The warnings in a file, none where there is no file; one that a resumed run gave again stands there once.

    Raises DataError by file and line.
    """
    found: dict[tuple[str, int | None], Warned] = {}
    for number, value in read_lines(path):
        warned = parsed(value, f"{path}:{number}")
        found.setdefault((warned.text, warned.step), warned)
    return list(found.values())
