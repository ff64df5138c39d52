"""Records of a CSV or of JSON lines, one at a time, each with its line: what traces and measurements are read from."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from espalier.core.errors import DataError
from espalier.core.io.text import parse_json, text_lines

Record = Mapping[str, Any]
_JSON_LINES = (".jsonl", ".json", ".ndjson")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class Cell(str):
    """A field of a CSV, where numbers are text too."""

    __slots__ = ()


def read_records(file: Path, *, events: bool = False) -> Iterator[tuple[int, Record]]:
    """Line numbers (from 1) and records of a CSV with a header, or of one JSON object a line (`.jsonl`, `.json`).

    Fields of a CSV are of the type Cell, and None where they are empty. Blank lines, and blanks around a field, count
    for nothing; encodings and line ends are those of `core.io.text`. events: lines may begin with `data:`, as
    server-sent events have it. Raises DataError by file and line.
    """
    if not file.is_file():
        raise DataError(f"there is no {file}")
    return _objects(file, events) if is_json(file) else _rows(file)


def is_json(file: Path) -> bool:
    """Whether it is read as JSON lines."""
    return file.suffix.lower() in _JSON_LINES


def finite(value: Any, key: str, least: float = -math.inf) -> float:
    """A number of a record, from text where it is one. Raises ValueError where it is none, or below `least`."""
    try:
        odd = isinstance(value, bool) or (isinstance(value, str) and not _NUMBER.fullmatch(value.strip()))
        number = math.nan if odd else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{key} is {_short(value)}, no finite number")
    if number < least:
        raise ValueError(f"{key} is {_short(value)}; it is at least {least:g}")
    return number


def whole(value: Any, key: str) -> int:
    """A whole number of a record, also one written as 472.0. Raises ValueError where it is none, as text of JSON."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float | Cell) and _is_number(value):
        exact = Decimal(value)
        if exact == exact.to_integral_value():
            return int(exact)
    raise ValueError(f"{key} is {_short(value)}, no whole number")


def _is_number(value: float | str) -> bool:
    """Whether it is a finite one, and no text that `float` takes beside numbers."""
    return math.isfinite(float(value)) if isinstance(value, float) or _NUMBER.fullmatch(value) else False


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "..."


def _rows(file: Path) -> Iterator[tuple[int, Record]]:
    at = 0

    def lines() -> Iterator[str]:
        nonlocal at
        for number, line in text_lines(file):
            at = number
            if line.strip():
                yield line

    rows = csv.reader(lines(), skipinitialspace=True, strict=True)
    try:
        names = [name.strip() for name in next(rows, [])]
        if twice := [name for name in names if name and names.count(name) > 1]:
            raise DataError(f"{file}:{at}: the header has a field twice: {twice[0]}")
        for row in rows:
            if len(row) != len(names):
                raise DataError(f"{file}:{at}: {len(row)} fields, not {len(names)} as in the header")
            yield at, {name: Cell(text.strip()) or None for name, text in zip(names, row, strict=True)}
    except csv.Error as error:
        raise DataError(f"{file}:{at}: {error}") from None


def _objects(file: Path, events: bool) -> Iterator[tuple[int, Record]]:
    for number, line in text_lines(file):
        text = line.removeprefix("data:") if events else line
        if not text.strip():
            continue
        record = parse_json(text, f"{file}:{number}")
        if not isinstance(record, dict):
            raise DataError(f"{file}:{number}: a record is an object, not {type(record).__name__}")
        yield number, record
