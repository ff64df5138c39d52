"""A timeline of a run: spans in lanes, as a file that chrome://tracing and https://ui.perfetto.dev open.

The file is a JSON array of Chrome's trace events: a complete event (`"ph": "X"`, times in microseconds) for each span,
and metadata events (`"ph": "M"`) with the names of the lanes. It is whole JSON after every `save`.
"""

from __future__ import annotations

import heapq
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from espalier.core.io.files import write_atomic

TRACE = "trace.json"
"""The artefact."""
MOST = 1_000_000
"""Spans that are kept: about 80 MB, which the viewers still open."""
END = b"\n]\n"


class Spans:
    """Records spans and appends them to `path`. `clock`: seconds since the beginning of the run.

    `name` is that of the run. `say` is told when the file is full. A file of an earlier session is continued.
    """

    def __init__(
        self, path: Path, name: str, *, clock: Callable[[], float], say: Callable[[str], None] = lambda text: None
    ) -> None:
        self._path = path
        self._say = say
        self.clock = clock
        self.new: list[tuple[str, int, float, float, Mapping[str, object]]] = []
        """Name, lane, begin, end and arguments of the spans that were not saved yet."""
        self._count = 0
        self._heads = [_named("process_name", 0, name)]
        self._lanes: dict[str, Lane] = {}
        self._free: dict[str, list[int]] = defaultdict(list)
        _tidy(path)

    def lane(self, name: str) -> Lane:
        """The lane of this name. Spans in a lane must be nested, or one after the other."""
        if name not in self._lanes:
            number = len(self._lanes)
            self._lanes[name] = Lane(self, number)
            self._heads.append(_named("thread_name", number, name))
        return self._lanes[name]

    @contextmanager
    def slot(self, family: str) -> Iterator[Lane]:
        """A lane that nobody else has meanwhile: of `FAMILY 0`, `FAMILY 1`, ..., the first that is free."""
        free = self._free[family]
        number = heapq.heappop(free) if free else sum(name.startswith(f"{family} ") for name in self._lanes)
        try:
            yield self.lane(f"{family} {number}")
        finally:
            heapq.heappush(free, number)

    def save(self) -> None:
        """Append what was recorded since the last time."""
        new, self.new = self.new[: max(0, MOST - self._count)], []
        lines = ",\n".join([*self._heads, *(_line(*span) for span in new)]).encode()
        self._heads = []
        if self._count < MOST <= self._count + len(new):
            self._say(f"{self._path} holds {MOST:,} spans: later ones are not recorded")
        self._count += len(new)
        if not lines:
            return
        if not self._path.exists():
            write_atomic(self._path, b"[\n" + lines + END)
            return
        with self._path.open("r+b") as file:
            file.seek(-len(END), os.SEEK_END)
            file.write(b",\n" + lines + END)


class Lane:
    """One row of the timeline."""

    __slots__ = ("_number", "_spans")

    def __init__(self, spans: Spans, number: int) -> None:
        self._spans = spans
        self._number = number

    def now(self) -> float:
        """When a span begins that begins now."""
        return self._spans.clock()

    def add(self, name: str, begun: float, args: Mapping[str, object]) -> None:
        """A span ends now. `args` are shown beside it."""
        self._spans.new.append((name, self._number, begun, self._spans.clock(), args))

    @contextmanager
    def span(self, name: str, **args: object) -> Iterator[None]:
        """Record how long the block takes."""
        begun = self.now()
        try:
            yield
        finally:
            self.add(name, begun, args)


def _line(name: str, lane: int, begun: float, ended: float, args: Mapping[str, object]) -> str:
    """A complete event. Times are rounded before they are subtracted: spans that nest still do."""
    start = round(1e6 * begun)
    shown = f',"args":{json.dumps(args)}' if args else ""
    return (
        f'{{"ph":"X","name":{json.dumps(name)},"pid":1,"tid":{lane},"ts":{start},"dur":{round(1e6 * ended) - start}'
        f"{shown}}}"
    )


def _named(what: str, lane: int, name: str) -> str:
    """A metadata event."""
    return json.dumps({"ph": "M", "name": what, "pid": 1, "tid": lane, "args": {"name": name}})


def _tidy(path: Path) -> None:
    """Remove the end of a file that a kill cut short; a file of which nothing is whole is removed."""
    if not path.exists():
        return
    content = path.read_bytes()
    if content.endswith(b"}" + END):
        return
    whole = [line.removesuffix(b",") for line in content.split(b"\n")[1:] if line.endswith((b"},", b"}"))]
    if whole:
        write_atomic(path, b"[\n" + b",\n".join(whole) + END)
    else:
        path.unlink()
