"""Rows of tables as people have them: JSON lines, JSON, CSV, TSV, Parquet, folders of them, Hugging Face `datasets`."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from espalier.core.errors import DataError, MissingExtraError, nearest
from espalier.core.io.text import parse_json, read_jsonl, read_text, text_lines

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
"""`owner/name`, as the Hugging Face hub names data sets."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row: where it stands (`file:line`, or `file: row 3`), and its values by column, as plain JSON data."""

    where: str
    values: Mapping[str, Any]


def read_rows(path: Path, split: str = "train") -> list[Row]:
    """The rows of a file, or of a folder's files of `split`. Raises DataError naming file and line of what is wrong."""
    return list(_of_folder(path, split) if path.is_dir() else _of_file(path))


def _of_file(path: Path) -> Iterable[Row]:
    match path.suffix.lower():
        case ".jsonl" | ".ndjson":
            return _json_lines(path)
        case ".json":
            return _json(path)
        case ".csv" | ".tsv":
            return _separated(path)
        case ".parquet":
            return _parquet(path)
        case other:
            raise DataError(f"{path}: the ending {other or 'none'} is not known; known are {', '.join(SUFFIXES)}")


def _json_lines(path: Path) -> Iterator[Row]:
    for line, value in read_jsonl(path):
        yield _row(value, f"{path}:{line}")


def _row(value: Any, where: str) -> Row:
    if not isinstance(value, dict):
        raise DataError(f"{where}: expected a JSON object, found {type(value).__name__}")
    return Row(where, value)


def _json(path: Path) -> Iterator[Row]:
    """A list of objects, an object that holds one such list, or lines of objects in spite of the name."""
    text = read_text(path)
    lines = text.lstrip().splitlines()
    if len(lines) > 1 and lines[0].startswith("{") and lines[0].rstrip().endswith("}"):
        yield from _json_lines(path)
        return
    value = parse_json(text, str(path))
    if isinstance(value, list):
        for line, item in zip(_lines_of_items(text), value, strict=True):
            yield _row(item, f"{path}:{line}")
        return
    lists = [key for key, inner in value.items() if isinstance(inner, list)] if isinstance(value, dict) else []
    if len(lists) != 1:
        raise DataError(f"{path}: expected a list of JSON objects, or an object that holds one such list")
    for number, item in enumerate(value[lists[0]]):
        yield _row(item, f"{path}: {lists[0]}[{number}]")


def _lines_of_items(text: str) -> Iterator[int]:
    """The line on which each item of a JSON list begins."""
    decoder, place, line, counted = json.JSONDecoder(), text.index("[") + 1, 1, 0
    gap = re.compile(r"[\s,]*")
    while True:
        place = gap.match(text, place).end()  # type: ignore[union-attr]
        if text[place] == "]":
            return
        line, counted = line + text.count("\n", counted, place), place
        yield line
        _, place = decoder.raw_decode(text, place)


def _separated(path: Path) -> Iterator[Row]:
    """CSV with a header, by RFC 4180: a quoted field may hold line ends. Also with semicolons or tabs."""
    number = 0

    def lines() -> Iterator[str]:
        nonlocal number
        for found, line in text_lines(path):
            number = found
            yield line + "\n"

    source = lines()
    head = next(source, "")
    comma = "\t" if path.suffix.lower() == ".tsv" else next((mark for mark in ",;\t" if mark in head), ",")
    header = [name.strip() or f"column_{i}" for i, name in enumerate(next(csv.reader([head], delimiter=comma), []), 1)]
    if twice := [name for name in header if header.count(name) > 1]:
        raise DataError(f"{path}:1: two columns are called {twice[0]!r}")
    reader = csv.reader(source, delimiter=comma, strict=True)
    while True:
        start = number + 1
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DataError(f"{path}:{start}: not {path.suffix[1:].upper()} ({error})") from None
        if not fields or (len(fields) == 1 < len(header) and not fields[0].strip()):
            continue
        if len(fields) != len(header):
            raise DataError(f"{path}:{start}: {len(fields)} fields, but the header has {len(header)}")
        yield Row(f"{path}:{start}", dict(zip(header, fields, strict=True)))


def _parquet(path: Path) -> Iterator[Row]:
    if find_spec("pyarrow") is None:
        raise MissingExtraError("pyarrow", "data")
    import pyarrow.lib
    import pyarrow.parquet

    try:
        found = pyarrow.parquet.read_table(path).to_pylist()
    except (OSError, pyarrow.lib.ArrowException) as error:
        raise DataError(f"{path}: not Parquet ({str(error).splitlines()[0]})") from None
    return _numbered(found, str(path))


def _numbered(values: Iterable[Mapping[str, Any]], where: str) -> Iterator[Row]:
    for number, value in enumerate(values, 1):
        yield Row(f"{where}: row {number}", {name: plain(item) for name, item in value.items()})


def _of_folder(path: Path, split: str) -> Iterable[Row]:
    """What `save_to_disk` wrote, or the files of a split: `train.jsonl`, `data/train-00000-of-00002.parquet`."""
    if (path / "state.json").is_file() or (path / "dataset_dict.json").is_file():
        return _saved(path, split)
    files = sorted(file for file in (*path.iterdir(), *path.glob("data/*")) if file.suffix.lower() in SUFFIXES)
    chosen = [file for file in files if re.fullmatch(rf"{re.escape(split)}(?:[-_.]\d.*)?", file.stem)]
    if not chosen:
        there = ", ".join(str(file.relative_to(path)) for file in files[:12]) or "no table"
        raise DataError(f"{path} is a folder without a file of the split {split!r}: it holds {there}")
    return [row for file in chosen for row in _of_file(file)]


def _saved(path: Path, split: str) -> Iterable[Row]:
    datasets = _datasets()
    try:
        found = datasets.load_from_disk(str(path))
    except Exception as error:
        raise DataError(f"{path}: not a data set of `save_to_disk` ({_first_line(error)})") from None
    return _numbered(_split_of(found, split, str(path)), str(path))


def read_hub(name: str, subset: str | None, split: str) -> list[Row]:
    """The rows of a data set of the Hugging Face hub, or of its cache. Raises DataError where it cannot be had."""
    datasets = _datasets()
    try:
        found = datasets.load_dataset(name, subset, split=split)
    except Exception as error:
        raise DataError(
            f"the data set {name!r} of the Hugging Face hub cannot be loaded ({_first_line(error)}). Is the name "
            "right, and is there a network? Without one, name a file, or a folder that `save_to_disk` wrote elsewhere"
        ) from None
    return list(_numbered(found, name))


def _datasets() -> Any:
    if find_spec("datasets") is None:
        raise MissingExtraError("datasets", "data")
    import datasets

    datasets.disable_progress_bars()
    return datasets


def _split_of(found: Any, split: str, where: str) -> Any:
    if not isinstance(found, dict):
        return found
    if split not in found:
        raise DataError(f"{where} has no split {split!r}{nearest(split, found)}")
    return found[split]


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0][:200]}" if text else type(error).__name__


def plain(value: Any) -> Any:
    """A value as JSON has it: moments by ISO 8601, bytes by their number, all else that JSON lacks as text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(name): plain(inner) for name, inner in value.items()}
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, Sequence):
        return [plain(item) for item in value]
    return str(value)
