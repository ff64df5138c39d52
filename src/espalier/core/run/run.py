"""What a job is given to work with.

    runs/NAME/TIME/
        config.yaml        resolved recipe           metrics.jsonl   every metric, the source of truth
        environment.json   versions, git, machine    checkpoints/    written by the job, atomically
        state.json         status and seconds        artefacts/      written by the job
        report.json        the report's blocks       report.html     made from the files beside it
        result.json        the job's figures, once it has finished
        origins.json       where each setting was set    warnings.jsonl  what the run warned of, if anything
        live.json          what the job does now, while it runs

The folder appears complete under its name, or not at all. One process at a time holds its lock.
"""

from __future__ import annotations

import contextlib
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from rich.console import Console

from espalier.core.clock import Clock, RealClock
from espalier.core.data import DataRoot
from espalier.core.errors import ConfigError, DataError, EspalierError, MissingExtraError, RunError
from espalier.core.io import files
from espalier.core.io.text import read_object
from espalier.core.report import blocks as report_blocks
from espalier.core.report.build import build
from espalier.core.run.checkpoints import BROKEN
from espalier.core.run.environment import environment
from espalier.core.run.folder import State, Status, make_folder, open_folder, read_state, write_state
from espalier.core.stop import Stop
from espalier.core.tracking.live import LIVE, Live, LiveFile
from espalier.core.tracking.metrics import MetricLog, last_seconds
from espalier.core.tracking.progress import Progress
from espalier.core.tracking.sinks import RunInfo, Tracker, open_sink
from espalier.core.tracking.warnings import WarningLog

WARNING = "warning: "
"""What is said with this at its beginning is kept for the report."""


class Run:
    """Made by `Run.create` or `Run.reopen`; used as a context manager around the job.

    path: the folder. job, name, seed: from the recipe. data: the data root. metrics: log them here.
    checkpoints: the folder for checkpoints; write them with `core.run.checkpoints` (steps) or `core.run.pieces`
    (finished parts). resumed: whether the folder existed before, so that the job should look into `checkpoints`. stop:
    `stop.requested` once the user wants to stop; the job then writes a checkpoint and returns. look: what the job does
    besides its progress, for `espalier watch`; another thread calls it, and it may raise RuntimeError.
    """

    def __init__(
        self,
        path: Path,
        lock: IO[str],
        config: Mapping[str, Any],
        *,
        data: DataRoot | None = None,
        console: Console | None = None,
        clock: Clock | None = None,
        resumed: bool = False,
    ) -> None:
        self.path = path
        self.job: str = config["job"]
        self.name: str = config["name"]
        self.seed: int = config["seed"]
        self.data = data or DataRoot.find()
        self.checkpoints = path / "checkpoints"
        self.resumed = resumed
        self.stop = Stop()
        self.look: Callable[[], Live] = Live
        self._progress: Progress | None = None
        self._live = LiveFile(path / LIVE, self._now)
        self._lock = lock
        self._finished = False
        self._console = console or Console()
        self._clock = clock or RealClock()
        self._started = self._clock.now()
        self._before = max(read_state(path).seconds, last_seconds(path / "metrics.jsonl")) if resumed else 0.0
        self._warnings = WarningLog(path / "warnings.jsonl", seconds=lambda: self.seconds)
        trackers: Sequence[Tracker] = config.get("trackers", ())
        info = RunInfo(path, self.name, config)
        self.metrics = MetricLog(
            path / "metrics.jsonl",
            seconds=lambda: self.seconds,
            sinks=[open_sink(tracker, info, self.say) for tracker in trackers],
        )

    @classmethod
    def create(
        cls,
        root: Path,
        *,
        job: str,
        name: str,
        seed: int = 0,
        trackers: Sequence[Tracker] = (),
        config: Mapping[str, Any] | None = None,
        data: DataRoot | None = None,
        console: Console | None = None,
        clock: Clock | None = None,
    ) -> Run:
        """Start a run in a new folder below `root`. `config` is the job's, as plain data."""
        whole = {"job": job, "name": name, "seed": seed, "trackers": list(trackers), **(config or {})}
        path, lock = make_folder(root, name, whole)
        return cls(path, lock, whole, data=data, console=console, clock=clock)

    @classmethod
    def reopen(
        cls, path: Path, *, data: DataRoot | None = None, console: Console | None = None, clock: Clock | None = None
    ) -> Run:
        """Go on with the run in `path`. The job finds its checkpoint and calls `metrics.rewind` with its step.

        Raises RunError where the run has finished or another process holds it.
        """
        config, lock = open_folder(path)
        if read_state(path).status == "finished":
            lock.close()
            raise RunError(f"{path} has finished: there is nothing to resume. Its report is {path / 'report.html'}.")
        _add_session(path / "environment.json")
        return cls(path, lock, config, data=data, console=console, clock=clock, resumed=True)

    @property
    def seconds(self) -> float:
        """Age of the run, over all its sessions."""
        return self._before + self._clock.now() - self._started

    def artefact(self, name: str) -> Path:
        """The path of the job's own file `name` (may hold folders), ready to be written."""
        path = self.path / "artefacts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def progress(self, total: int, title: str) -> Progress:
        """Shows `total` steps of work called `title`; a context manager with `update` and `note`."""
        self._progress = Progress(total, title, console=self._console, clock=self._clock, stop=self.stop)
        return self._progress

    def say(self, text: str) -> None:
        """One line for the user. One that begins with `warning: ` stands in the report as well."""
        if text.startswith(WARNING):
            self.warn(text.removeprefix(WARNING))
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def warn(self, text: str, step: int | None = None) -> None:
        """Keep a warning for the report, without saying it."""
        self._warnings.add(text, step)

    def layout(self, blocks: Sequence[report_blocks.Block]) -> None:
        """What a report made while the job goes on shows; `report` replaces it."""
        report_blocks.save(blocks, self.path / "report.json")

    def report(self, blocks: Sequence[report_blocks.Block]) -> Path:
        """Write the report made of `blocks`; may be called again as the run goes on. Returns the HTML file."""
        self.layout(blocks)
        return build(self.path)

    def finish(self, figures: Mapping[str, float]) -> None:
        """The job is done: write its figures, with `seconds`, `seed` and `job`, into `result.json`."""
        own = {"seconds": round(self.seconds, 3), "seed": self.seed, "job": self.job}
        if clash := figures.keys() & own.keys():
            raise ValueError(f"the job's figure {clash.pop()!r} has a name that every result has already")
        self._finished = True
        finite = {key: value if math.isfinite(value) else None for key, value in figures.items()}
        files.write_json(self.path / "result.json", {**finite, **own})
        self._write_state("finished")

    def __enter__(self) -> Run:
        self._write_state("running")
        self._live.__enter__()
        self.stop.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop.__exit__(kind, error, trace)
        self._live.__exit__(kind, error, trace)
        try:
            self._end(error)
        except (OSError, EspalierError) as problem:  # on a full disk, say, which has ended the job as well
            if error is None:
                raise
            self.say(f"how the run ended could not be recorded: {problem}")
        finally:
            self._lock.close()

    @property
    def begun(self) -> bool:
        """Whether there is a checkpoint, or a finished part of the job, to go on from."""
        return any(
            path.is_file() and not any(part.startswith((".", BROKEN)) for part in path.relative_to(self.path).parts)
            for path in self.checkpoints.rglob("*")
        )

    def _end(self, error: BaseException | None) -> None:
        """Record how the job ended. Where a mistake of the user's ended it before it did anything, nothing is left."""
        self.metrics.close()
        if isinstance(error, (ConfigError, DataError, MissingExtraError)) and self._untouched():
            shutil.rmtree(self.path)
            with contextlib.suppress(OSError):  # other runs of the name lie there
                self.path.parent.rmdir()
            return
        if error is not None and not isinstance(error, KeyboardInterrupt):
            self._write_state("failed", f"{type(error).__name__}: {error}")
        elif not self._finished:
            self._write_state("interrupted")
        build(self.path)

    def _now(self) -> Live:
        shown = self._progress
        if shown is None:
            return self.look()
        rate = float(f"{shown.rate:.3g}")
        return replace(self.look(), title=shown.title, step=shown.step, total=shown.total, rate=rate)

    def _untouched(self) -> bool:
        """Whether the job has left nothing in its new folder."""
        artefacts = (path for path in (self.path / "artefacts").rglob("*") if path.is_file())
        return not (self.resumed or self.begun or self.metrics.path.stat().st_size or any(artefacts))

    def _write_state(self, status: Status, error: str = "") -> None:
        write_state(self.path, State(status, round(self.seconds, 3), error))


def _add_session(file: Path) -> None:
    """Add the environment of now to that of the first session. Raises RunError where the file is broken."""
    try:
        first = read_object(file) if file.exists() else {}
        if not isinstance(first.setdefault("resumed", []), list):
            raise DataError("not the environment of a run")
    except DataError as error:
        raise RunError(f"{file} is broken ({error}). It is only a record: delete it, and resume again") from None
    first["resumed"].append(environment())
    files.write_json(file, first)
