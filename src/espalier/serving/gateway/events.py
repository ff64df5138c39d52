"""Server-sent events: the first event of an engine's answer, and an engine's reports of its passes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from espalier.core.io import strict_json
from espalier.serving.core.types import Report

MOST = 64 * 1024
"""Largest event in bytes that is buffered. Longer events are forwarded in parts and not parsed."""
BLANK_LINES = (b"\n\n", b"\n\r\n", b"\n\r", b"\r\r", b"\r\r\n")
"""Ends of an event, for every kind of line ending."""
DONE = re.compile(rb"(?:^|[\r\n])data: *\[DONE\] *[\r\n]")


class Passage:
    """Forwards a stream in whole events, so that an error event can follow if the stream breaks off.

    done: `[DONE]` was forwarded. error: the error that an event contained. whole: what was forwarded ends with a
    complete event.
    """

    def __init__(self) -> None:
        self.done, self.whole = False, True
        self.error: str | None = None
        self._kept = b""

    def take(self, chunk: bytes) -> bytes:
        """Add `chunk` and return what can be forwarded."""
        kept = self._kept + chunk
        if kept.endswith(b"\n\n"):
            end = len(kept)
        else:
            end = max(kept.rfind(line) + len(line) if line in kept else 0 for line in BLANK_LINES)
        self.whole = end > 0 or len(kept) <= MOST
        if not self.whole:
            end = len(kept)
        self._kept = kept[end:]
        return self._passed(kept[:end])

    def last(self) -> bytes:
        """The rest that can be forwarded at the end of the stream: an event that ends a stream, if only its blank line
        is missing.
        """
        rest, self._kept = self._kept, b""
        return self._passed(rest) if DONE.search(rest + b"\n") or _error(_data(rest)) else b""

    def _passed(self, data: bytes) -> bytes:
        self.done = self.done or (b"[DONE]" in data and DONE.search(data + b"\n") is not None)
        if b"error" in data and self.error is None:
            errors = (_error(_data(event)) for event in _whole(data + b"\n\n"))
            self.error = next((one for one in errors if one), None)
        return data


def begun(start: bytes) -> bool:
    """Whether the first event of a stream, ignoring comments, is complete (or too long to buffer)."""
    return len(start) > MOST or any(_data(event) for event in _whole(start))


def error_in(start: bytes) -> str | None:
    """The error that an answer begins with, if its first event (or its whole body) is an error."""
    events = (_data(event) for event in (*_whole(start), start))
    return _error(next((data for data in events if data), b""))


def report_of(line: bytes, ranks: int) -> Report | None:
    """The report of a pass in a `data:` line; None for other lines. Raises ValueError if the report does not fit an
    engine with `ranks` ranks.
    """
    if not line.startswith(b"data:"):
        return None
    told = strict_json.loads(line[5:])
    if not isinstance(told, dict) or not Report._field_defaults.keys() | told.keys() >= set(Report._fields):
        raise ValueError("a report must have the fields " + ", ".join(Report._fields))
    report = Report(**{name: told[name] for name in Report._fields if name in told})
    for name in ("backlog", "waiting", "running"):
        values: Any = getattr(report, name)
        if not isinstance(values, list) or len(values) != ranks or not all(type(one) is int for one in values):
            raise ValueError(f"{name} must be {ranks} integers, one per rank")
    numbers = (report.seen, report.largest, report.begun, 0.0 if report.duration is None else report.duration)
    if not all(isinstance(one, int | float) and one >= 0 for one in numbers) or not isinstance(report.busy, bool):
        raise ValueError("seen, largest, begun and duration must be at least 0, and busy must be true or false")
    return report


def _error(data: bytes) -> str | None:
    """The error in an event."""
    if b"error" not in data:
        return None
    try:
        said = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(said, dict) or not (said.get("error") or said.get("object") == "error"):
        return None
    return str(said.get("error") or said.get("message") or said)[:200]


def _whole(start: bytes) -> Iterator[bytes]:
    text = start.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    yield from text.split(b"\n\n")[:-1]


def _data(event: bytes) -> bytes:
    """The data of one event. For an answer that is JSON and not a stream, all of it is data."""
    if event.lstrip().startswith(b"{"):
        return event
    lines = event.replace(b"\r", b"\n").split(b"\n")
    return b"\n".join(line[5:].strip() for line in lines if line.startswith(b"data:"))
