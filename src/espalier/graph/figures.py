"""Figures of finished seeds, as runs leave them in files for the tables and resumed runs that come after."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from espalier.core.errors import DataError
from espalier.core.text import parse_json, read_text


def read_figures(file: Path) -> dict[str, float]:
    """The figures by name, `score` among them. Raises DataError, naming the file, where it holds something else."""
    return _figures(parse_json(read_text(file), str(file)), file, "score")


def read_scores(file: Path) -> dict[str, dict[str, float]]:
    """Figures by encoder. Errors as in `read_figures`."""
    found = parse_json(read_text(file), str(file))
    return {who: _figures(figures, file) for who, figures in _mapping(found, file).items()}


def _figures(found: Any, file: Path, needed: str = "") -> dict[str, float]:
    figures = _mapping(found, file)
    for name, value in figures.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise DataError(f"{file}: {name} is {str(value)[:40]}, not a finite number; {_ADVICE}")
    if needed and needed not in figures:
        raise DataError(f"{file} has no {needed}; {_ADVICE}")
    return {name: float(value) for name, value in figures.items()}


def _mapping(found: Any, file: Path) -> dict[str, Any]:
    if not isinstance(found, dict) or not found:
        raise DataError(f"{file} holds no figures; {_ADVICE}")
    return found


_ADVICE = "delete the file, and its seed runs again"
