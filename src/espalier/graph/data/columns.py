"""Text files of numbers, read fast, with file and line in every error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from espalier.core.errors import DataError


def read_integers(file: Path, columns: int) -> NDArray[np.int64]:
    """The (lines, columns) integers of `file`, separated by commas, spaces or tabs.

    Blank lines, and those that begin with `#` or `%`, are skipped. Raises DataError by file and line.
    """
    if not file.is_file():
        raise DataError(f"there is no {file}")
    text = file.read_text().replace(",", " ")
    try:
        if "#" in text or "%" in text:
            raise ValueError
        numbers = np.array(text.split(), dtype=np.int64)
        lines = sum(1 for line in text.split("\n") if line.strip())
        if numbers.size != lines * columns:
            raise ValueError
        return numbers.reshape(-1, columns)
    except ValueError:  # look for the place, line by line
        return _by_line(file, text, columns)


def _by_line(file: Path, text: str, columns: int) -> NDArray[np.int64]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words or words[0].startswith(("#", "%")):
            continue
        try:
            rows.append([int(word) for word in words])
        except ValueError:
            raise DataError(f"{file}:{number}: {line.strip()!r} is not {columns} whole numbers") from None
        if len(words) != columns:
            raise DataError(f"{file}:{number}: expected {columns} numbers, found {len(words)}")
    return np.array(rows, dtype=np.int64).reshape(-1, columns)
