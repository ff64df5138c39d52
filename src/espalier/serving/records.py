"""Records of a CSV or of JSON lines, one at a time, each with its line: what traces and measurements are read from."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from espalier.core.errors import DataError

Record = Mapping[str, Any]


def read_records(file: Path, *, events: bool = False) -> Iterator[tuple[int, Record]]:
    """Line numbers (from 1) and records of a CSV with a header, or of one JSON object a line (`.jsonl`, `.json`).

    Blank lines are skipped; a byte order mark and CRLF do no harm. events: lines may begin with `data:`, as server-sent
    events have it. Raises DataError by file and line.
    """
    if not file.is_file():
        raise DataError(f"there is no {file}")
    return _objects(file, events) if file.suffix in (".jsonl", ".json") else _rows(file)


def finite(value: Any, key: str, least: float = -math.inf) -> float:
    """A number of a record, from text where it is one. Raises ValueError where it is none, or below `least`."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"{key} is {_short(value)}, no finite number")
    if number < least:
        raise ValueError(f"{key} is {_short(value)}; it is at least {least:g}")
    return number


def whole(value: Any, key: str) -> int:
    """A whole number of a record. Raises ValueError where it is none; text is none."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{key} is {_short(value)}, no whole number")
    return value


def counted(text: str, key: str) -> int:
    """A whole number of a CSV. Raises ValueError where it is none."""
    try:
        return int(text)
    except (TypeError, ValueError):
        raise ValueError(f"{key} is {_short(text)}, no whole number") from None


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:40] + "..."


def _rows(file: Path) -> Iterator[tuple[int, Record]]:
    with file.open("rb") as lines:
        reader = csv.DictReader(_decoded(file, lines))
        try:
            names = reader.fieldnames or ()
            if len(set(names)) < len(names):
                raise DataError(f"{file}:1: the header has a field twice: {', '.join(names)}")
            for record in reader:
                if None in record or None in record.values():
                    raise DataError(f"{file}:{reader.line_num}: not {len(names)} fields")
                yield reader.line_num, record
        except csv.Error as error:
            raise DataError(f"{file}:{reader.line_num}: {error}") from None


def _decoded(file: Path, lines: Iterable[bytes]) -> Iterator[str]:
    """Line by line, so that an error names its line and not that of the buffer it was found in."""
    for number, line in enumerate(lines, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise DataError(f"{file}:{number}: this line is not UTF-8 ({error})") from None


def _objects(file: Path, events: bool) -> Iterator[tuple[int, Record]]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            text = line.removeprefix(b"data:") if events else line
            if not text.strip():
                continue
            try:
                record = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{file}:{number}: this line is not JSON ({error})") from None
            if not isinstance(record, dict):
                raise DataError(f"{file}:{number}: a record is an object, not {type(record).__name__}")
            yield number, record
