"""Server-sent events: what an engine's answer begins with, and what it tells of its passes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from espalier.serving.core.types import Report

MOST = 64 * 1024
"""Bytes of a first event; what is longer passes unread."""


def begun(start: bytes) -> bool:
    """Whether a stream's first event, comments aside, has come whole (or is too long to wait for)."""
    return len(start) > MOST or any(_data(event) for event in _whole(start))


def error_in(start: bytes) -> str | None:
    """The error that an answer begins with, where its first event, or all of it, is one."""
    events = (_data(event) for event in (*_whole(start), start))
    first = next((data for data in events if data), b"")
    if b"error" not in first:
        return None
    try:
        said = json.loads(first)
    except ValueError:
        return None
    if not isinstance(said, dict) or not (said.get("error") or said.get("object") == "error"):
        return None
    return str(said.get("error") or said.get("message") or said)[:200]


def report_of(line: bytes, ranks: int) -> Report | None:
    """What a `data:` line tells of a pass; None for another line.

    Raises ValueError where it is no report of an engine of so many ranks.
    """
    if not line.startswith(b"data:"):
        return None
    told = json.loads(line[5:])
    if not isinstance(told, dict) or not Report._field_defaults.keys() | told.keys() >= set(Report._fields):
        raise ValueError("a report has " + ", ".join(Report._fields))
    report = Report(**{name: told[name] for name in Report._fields if name in told})
    for name in ("backlog", "waiting", "running"):
        values: Any = getattr(report, name)
        if not isinstance(values, list) or len(values) != ranks or not all(type(one) is int for one in values):
            raise ValueError(f"{name} is not {ranks} whole numbers, one of each rank")
    numbers = (report.seen, report.largest, report.begun, 0.0 if report.duration is None else report.duration)
    if not all(isinstance(one, int | float) and one >= 0 for one in numbers) or not isinstance(report.busy, bool):
        raise ValueError("seen, largest, begun and duration are numbers of at least 0, and busy is true or false")
    return report


def _whole(start: bytes) -> Iterator[bytes]:
    text = start.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    yield from text.split(b"\n\n")[:-1]


def _data(event: bytes) -> bytes:
    """The data of one event; an answer that is JSON and no stream is all data."""
    if event.lstrip().startswith(b"{"):
        return event
    lines = event.replace(b"\r", b"\n").split(b"\n")
    return b"\n".join(line[5:].strip() for line in lines if line.startswith(b"data:"))
