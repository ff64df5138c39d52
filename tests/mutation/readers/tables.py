"""Measured passes, and questions with answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import reference as plainly
from mutators import (
    LINES,
    OTHER_TEXT,
    TABLE,
    bad_byte,
    mistyped,
    ragged,
    value_of,
)
from oracle import Open, Reader

from espalier.core.data import DataRoot
from espalier.envs.adapters.columns import ColumnsConfig
from espalier.envs.adapters.table import Table, TableConfig
from espalier.serving.model.calibrate import read_measurements
from readers.traces import file_of, json_lines

MEASURED = "tokens,attended,seconds\n100,200,0.5\n50,25,0.25\n8,16,0.125\n"
PASSES = [{"tokens": 8 * k, "seconds": k / 8} for k in range(1, 5)]


def _measured(file: Path) -> Any:
    return [*read_measurements(file)]


def _measured_rows(names: list[str], rows: Any) -> Any:
    found = np.array([[float(str(row[name]).strip()) for name in (*names, "seconds")] for row in rows]).reshape(
        -1, len(names) + 1
    )
    if not np.isfinite(found).all() or (found < 0).any() or not found[:, -1].all() or not len(found):
        raise ValueError(found)
    return [names, found[:, :-1], found[:, -1]]


def _measured_table(file: Path) -> Any:
    rows = plainly.table(file)
    for row in rows:
        for cell in row.values():
            if not cell.isascii() or "_" in cell:
                raise Open
    if {"requests", "kv", "largest", "duration"} & set(rows[0]) or "tokens" not in rows[0]:
        raise Open
    return _measured_rows([name for name in ("tokens", "attended") if name in rows[0]], rows)


def _measured_lines(file: Path) -> Any:
    records = plainly.values(file)
    if any(
        not isinstance(each, (int, float)) or isinstance(each, bool) for record in records for each in record.values()
    ):
        if any(isinstance(each, str) for record in records for each in record.values()):
            raise Open
        raise ValueError(records)
    if any(set(record) != {"tokens", "seconds"} for record in records) or "data:" in plainly.text(file):
        raise Open
    return _measured_rows(["tokens"], records)


MEASUREMENTS = [
    Reader(
        "serving/measured.csv",
        file_of("measured.csv", MEASURED),
        _measured,
        _measured_table,
        TABLE,
        (bad_byte, ragged(b","), mistyped(b",", (0, 1, 2))),
        OTHER_TEXT,
    ),
    Reader(
        "serving/measured.jsonl",
        file_of("measured.jsonl", json_lines(PASSES)),
        _measured,
        _measured_lines,
        LINES,
        (bad_byte, value_of(b"tokens", (b'"x"', b"null", b"-1", b"NaN"), lines=True)),
        OTHER_TEXT,
    ),
]

QUESTIONS = [{"question": f"What is {k} + 1?", "answer": f"{k} + 1 is é\n#### {k + 1}"} for k in range(4)]


def _jsonl(folder: Path) -> Path:
    (folder / "heldout.jsonl").write_text(json.dumps({"question": "Who?", "answer": "#### 0"}) + "\n")
    return file_of("tasks.jsonl", json_lines(QUESTIONS))(folder)


def _tasks(file: Path) -> Any:
    """The first epoch of tasks, each once, sorted."""
    columns = ColumnsConfig(question="question", answer="answer")
    config = TableConfig(path=file, heldout_path=file.parent / "heldout.jsonl", columns=columns)
    tasks, found = Table(config, 0, DataRoot(None)), {}
    for index in range(12):
        task = tasks.task("train", index)
        found[task.key] = [task.data["question"], str(task.data["answer"])]
    return sorted(found.values())


def _tasks_reference(file: Path) -> Any:
    found = {}
    for record in plainly.values(file):
        question, answer = record["question"], record["answer"]
        if isinstance(answer, (int, float)) or not question or question in found or question == "Who?":
            raise Open
        if not isinstance(question, str) or "####" not in answer:
            raise ValueError(record)
        found[question] = [question, answer.rpartition("####")[2].strip()]
        if not found[question][1]:
            raise Open
    if not found:
        raise ValueError("nothing")
    return sorted(found.values())


TASKS = Reader(
    "envs/tasks.jsonl",
    _jsonl,
    _tasks,
    _tasks_reference,
    LINES,
    (
        bad_byte,
        value_of(b"question", (b"null", b"[]", b"{}"), lines=True),
        value_of(b"answer", (b"null", b"[]", b'"no mark"'), lines=True),
    ),
    OTHER_TEXT,
)


READERS = [*MEASUREMENTS, TASKS]
