"""What a run does now, for a watcher in another process: the file `live.json`, written by a thread of the run.

The file says when things began, not how long they last, so that it changes only when something happens.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from pydantic import TypeAdapter

from espalier.core.io.files import temporary
from espalier.core.io.typed import read_typed

LIVE = "live.json"
"""In the run folder, while the run goes on, and after it was killed."""
EVERY = 1.0
"""Seconds between two writes, at least."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a part of the run, or an attempt at a task, does. since: when it began, in seconds of the epoch."""

    who: str
    doing: str = ""
    since: float | None = None


@dataclass(frozen=True, slots=True)
class Worker:
    """An engine: whether it is up, its requests, and the tokens a second that it sampled lately."""

    name: str
    up: bool
    running: int = 0
    waiting: int = 0
    speed: float = 0.0


@dataclass(frozen=True, slots=True)
class Live:
    """The first four are those of the progress that is shown. work: what the parts of the run do, or wait for.
    slowest: the attempts that have run for longest.
    """

    title: str = ""
    step: int = 0
    total: int = 0
    rate: float = 0.0
    queue: str = ""
    work: Sequence[Work] = ()
    workers: Sequence[Worker] = ()
    slowest: Sequence[Work] = ()


_LIVE = TypeAdapter(Live)


class LiveFile:
    """Writes what `look` returns to `path` whenever it has changed, `every` seconds apart; used as a context manager.

    A thread does it, so that neither a slow disk nor a long computation holds up the other. A file that cannot be
    written is left as it is. After a clean end the file is gone.
    """

    def __init__(self, path: Path, look: Callable[[], Live], *, every: float = EVERY) -> None:
        self._path = path
        self._look = look
        self._every = every
        self._last = Live()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, name="live", daemon=True)

    def write(self) -> None:
        """Write it now, if it has changed."""
        try:
            found = self._look()
        except RuntimeError:  # a dict or set grew while it was read
            return
        if found == self._last:
            return
        with contextlib.suppress(OSError), temporary(self._path, folder=False) as temp:
            temp.write_text(json.dumps(asdict(found), ensure_ascii=False), encoding="utf-8")
            temp.replace(self._path)
            self._last = found

    def _work(self) -> None:
        while not self._ended.wait(self._every):
            self.write()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def __enter__(self) -> LiveFile:
        self._remove()  # what a killed session left
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(self._every)
        if error is None:
            self._remove()


def read_live(path: Path) -> Live | None:
    """What the file of a run says; None where there is none. Raises DataError where it is broken."""
    return read_typed(path, _LIVE) if path.is_file() else None
