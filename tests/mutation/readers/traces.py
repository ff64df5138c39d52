"""Traces of requests."""

from __future__ import annotations

import json
from datetime import UTC, datetime
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

from espalier.serving.traces.load import load_trace

MOST, LATEST = 10**9, 1e12


def file_of(name: str, content: str) -> Any:
    def make(folder: Path) -> Path:
        (folder / name).write_text(content)
        return folder / name

    return make


def _trace(file: Path) -> Any:
    found = load_trace(file)
    return [found.prompt, found.output, found.arrival, found.blocks]


def _requests(rows: list[tuple[float | None, int, int, list[int]]]) -> Any:
    """In order of time; counted from the first."""
    for when, prompt, output, _ in rows:
        if not (1 <= prompt <= MOST and 0 <= output <= MOST) or (when is not None and not abs(when) <= LATEST):
            raise ValueError(rows)
    if not rows or len({when is None for when, *_ in rows}) > 1:
        raise ValueError("no requests, or times for some")
    if rows[0][0] is not None:
        rows = sorted(rows, key=lambda row: row[0])
    blocks = [row[3] for row in rows] if any(row[3] for row in rows) else None
    arrival = None if rows[0][0] is None else np.array([row[0] for row in rows]) - rows[0][0]
    return [np.array([row[1] for row in rows]), np.array([row[2] for row in rows]), arrival, blocks]


AZURE = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.680590,374,44
2023-11-16 18:15:50.951502,396,109
2023-11-16 18:15:52.220000,7,0
"""
BURST = """Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type
5,ChatGPT,472,18,490,Conversation log
45,GPT-4,8,7,15,API log
118,ChatGPT,1087,230,1317,Conversation log
"""
VIDUR = "arrived_at,num_prefill_tokens,num_decode_tokens\n0.5,100.0,20\n1.25,30,4.0\n3,5,6\n"
MOONCAKE = [{"timestamp": 1000 * k, "input_length": 700 + k, "output_length": 5, "hash_ids": [1, k]} for k in range(4)]
NATIVE = [{"prompt_tokens": 10 + k, "output_tokens": k, "arrival_s": k / 4, "prefix_hashes": [3, k]} for k in range(4)]


def json_lines(records: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


def _azure_reference(file: Path) -> Any:
    rows: list[Any] = []
    for row in plainly.table(file):
        if not row["TIMESTAMP"].isascii() or "T" in row["TIMESTAMP"]:
            raise Open
        moment = datetime.fromisoformat(row["TIMESTAMP"])
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        rows.append((seconds, plainly.count(row["ContextTokens"]), plainly.count(row["GeneratedTokens"]), []))
    return _requests(rows)


def _whole(value: Any) -> int:
    """A count; 472.0 is one."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value):
        raise ValueError(value)
    return int(value)


def _burst_reference(file: Path) -> Any:
    return _requests(
        [
            (
                plainly.real(row["Timestamp"]),
                plainly.count(row["Request tokens"]),
                plainly.count(row["Response tokens"]),
                [],
            )
            for row in plainly.table(file)
        ]
    )


def _vidur_reference(file: Path) -> Any:
    return _requests(
        [
            (
                plainly.real(row["arrived_at"]) if "arrived_at" in row else None,
                plainly.count(row["num_prefill_tokens"]),
                plainly.count(row["num_decode_tokens"]),
                [],
            )
            for row in plainly.table(file)
        ]
    )


def _json_reference(when: str, prompt: str, output: str, blocks: str, unit: float) -> Any:
    def reference(file: Path) -> Any:
        rows: list[Any] = []
        for record in plainly.values(file):
            moment, hashes = record.get(when), record.get(blocks) or []
            if (
                isinstance(moment, str)
                or isinstance(record[prompt], str)
                or isinstance(record[output], str)
                or (moment is None and when == "timestamp")
            ):
                raise Open  # numbers as texts
            if isinstance(moment, (bool, list, dict)) or not isinstance(hashes, list):
                raise ValueError(record)
            if not set(record) <= {when, prompt, output, blocks} or any(
                type(one) is not int or one < 0 for one in hashes
            ):
                raise Open
            rows.append(
                (
                    None if moment is None else float(moment) / unit,
                    _whole(record[prompt]),
                    _whole(record[output]),
                    hashes,
                )
            )
        return _requests(rows)

    return reference


TRACES = [
    Reader(
        "serving/azure.csv",
        file_of("azure.csv", AZURE),
        _trace,
        _azure_reference,
        TABLE,
        (bad_byte, ragged(b","), mistyped(b",", (0, 1, 2))),
        OTHER_TEXT,
    ),
    Reader(
        "serving/burstgpt.csv",
        file_of("burst.csv", BURST),
        _trace,
        _burst_reference,
        TABLE,
        (bad_byte, ragged(b","), mistyped(b",", (0, 2, 3))),
        OTHER_TEXT,
    ),
    Reader(
        "serving/vidur.csv",
        file_of("vidur.csv", VIDUR),
        _trace,
        _vidur_reference,
        TABLE,
        (bad_byte, ragged(b","), mistyped(b",", (0, 1, 2))),
        OTHER_TEXT,
    ),
    Reader(
        "serving/mooncake.jsonl",
        file_of("m.jsonl", json_lines(MOONCAKE)),
        _trace,
        _json_reference("timestamp", "input_length", "output_length", "hash_ids", 1000.0),
        LINES,
        (
            bad_byte,
            value_of(b"input_length", (b'"x"', b"null", b"-1", b"1.5", b"true"), lines=True),
            value_of(b"timestamp", (b'"x"', b"[]", b"NaN", b"true"), lines=True),
            value_of(b"hash_ids", (b"7", b'["a"]', b"[1.5]", b'"ab"'), lines=True),
        ),
        OTHER_TEXT,
    ),
    Reader(
        "serving/native.jsonl",
        file_of("n.jsonl", json_lines(NATIVE)),
        _trace,
        _json_reference("arrival_s", "prompt_tokens", "output_tokens", "prefix_hashes", 1.0),
        LINES,
        (
            bad_byte,
            value_of(b"prompt_tokens", (b'"x"', b"null", b"0", b"1.5"), lines=True),
            value_of(b"arrival_s", (b'"x"', b"[]", b"1e400"), lines=True),
        ),
        OTHER_TEXT,
    ),
]


READERS = TRACES
