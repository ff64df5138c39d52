"""Trace files. The format is told by the header, or by the keys of the first record."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from espalier.core.errors import DataError
from espalier.serving.traces.trace import Row, Trace

Record = Mapping[str, Any]


def load_trace(file: Path) -> Trace:
    """Azure, BurstGPT and Vidur CSV; Mooncake and our own JSON lines.

    Our own: `prompt_tokens`, `output_tokens`, and optionally `arrival_s`, `prefix_hashes` and `priority`. Raises
    DataError by file and line.
    """
    if not file.is_file():
        raise DataError(f"there is no trace {file}")
    records = _json_records(file) if file.suffix in (".jsonl", ".json") else _csv_records(file)
    rows: list[Row] = []
    read: Callable[[Record], Row] | None = None
    for line, record in records:
        read = read or _format(record, file)
        try:
            rows.append(read(record))
        except KeyError as error:
            raise DataError(f"{file}:{line}: there is no {error.args[0]!r}") from None
        except (ValueError, TypeError, AttributeError) as error:
            raise DataError(f"{file}:{line}: {error}") from None
    return Trace.of_rows(file.stem, rows)


def _format(record: Record, file: Path) -> Callable[[Record], Row]:
    for keys, read in _FORMATS.items():
        if keys <= record.keys():
            return read
    known = "; ".join(", ".join(sorted(keys)) for keys in _FORMATS)
    raise DataError(f"{file} has the fields {', '.join(map(str, record))}; a trace has one of: {known}")


def _csv_records(file: Path) -> Iterator[tuple[int, Record]]:
    with file.open(newline="", encoding="utf-8-sig") as lines:
        reader = csv.DictReader(lines)
        try:
            for record in reader:
                if None in record or None in record.values():
                    raise DataError(f"{file}:{reader.line_num}: not {len(reader.fieldnames or ())} fields")
                yield reader.line_num, record
        except (csv.Error, UnicodeDecodeError) as error:
            raise DataError(f"{file}:{reader.line_num + 1}: {error}") from None


def _json_records(file: Path) -> Iterator[tuple[int, Record]]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise DataError(f"{file}:{number}: {error}") from None
            if not isinstance(record, dict):
                raise DataError(f"{file}:{number}: a record is an object, not {type(record).__name__}")
            yield number, record


def _azure(record: Record) -> Row:
    moment = datetime.fromisoformat(record["TIMESTAMP"]).timestamp()
    return Row(int(record["ContextTokens"]), int(record["GeneratedTokens"]), moment)


def _burstgpt(record: Record) -> Row:
    return Row(int(record["Request tokens"]), int(record["Response tokens"]), float(record["Timestamp"]))


def _vidur(record: Record) -> Row:
    moment = float(record["arrived_at"]) if "arrived_at" in record else None
    return Row(_whole(record["num_prefill_tokens"]), _whole(record["num_decode_tokens"]), moment)


def _mooncake(record: Record) -> Row:
    blocks = tuple(_integer(block, "hash_ids") for block in record.get("hash_ids", ()))
    prompt, output = (_integer(record[key], key) for key in ("input_length", "output_length"))
    return Row(prompt, output, float(record["timestamp"]) / 1000, blocks)


def _native(record: Record) -> Row:
    blocks = tuple(_integer(block, "prefix_hashes") for block in record.get("prefix_hashes", ()))
    moment = float(record["arrival_s"]) if record.get("arrival_s") is not None else None
    prompt, output = (_integer(record[key], key) for key in ("prompt_tokens", "output_tokens"))
    return Row(prompt, output, moment, blocks, _integer(record.get("priority", 0), "priority"))


def _whole(text: str) -> int:
    number = float(text)
    if number != int(number):
        raise ValueError(f"{text!r} is no whole number")
    return int(number)


def _integer(value: Any, key: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{key} is {value!r}, no whole number")
    return value


_FORMATS: dict[frozenset[str], Callable[[Record], Row]] = {
    frozenset({"TIMESTAMP", "ContextTokens", "GeneratedTokens"}): _azure,
    frozenset({"Timestamp", "Request tokens", "Response tokens"}): _burstgpt,
    frozenset({"num_prefill_tokens", "num_decode_tokens"}): _vidur,
    frozenset({"timestamp", "input_length", "output_length"}): _mooncake,
    frozenset({"prompt_tokens", "output_tokens"}): _native,
}
