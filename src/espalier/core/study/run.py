"""Runs the cells of a study: a process each, at most `workers` at a time, each a run folder of the command line.

Invariant: a cell that has finished is never run again, whatever kills the study; a cell that has begun goes on from its
checkpoint. One that fails does not stop the others.

    <folder>/<arm>-<seed>-<hash>/<time>/    run folder of the cell
    <folder>/<arm>-<seed>-<hash>.yaml       its recipe         <arm>-<seed>-<hash>.log   what it printed
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from espalier.core.errors import RunError
from espalier.core.io import files
from espalier.core.io.text import read_object
from espalier.core.recipe import yaml12
from espalier.core.run.folder import newest_unfinished, read_state
from espalier.core.run.run import Run
from espalier.core.study.cells import DIGITS, Cell
from espalier.core.study.config import StudyConfig
from espalier.core.tracking.progress import Progress, duration

PATIENCE_S = 0.1
"""Between two looks at the processes."""
_TAIL = 6
"""Last lines of a failed cell that are shown."""


def finished(folder: Path, cell: Cell) -> Path | None:
    """The run folder of a finished run of what `cell` computes, whatever its arm was called; else None."""
    for config in sorted(folder.glob(f"*-{cell.digest[:DIGITS]}/[!.]*/config.yaml")):
        if (config.parent / "result.json").is_file() and read_state(config.parent).status == "finished":
            return config.parent
    return None


@dataclass(slots=True)
class _Process:
    popen: subprocess.Popen[bytes]
    cell: Cell
    log: Path


class Cells:
    """The cells of the study `config`, in `folder`. program: the command line's words."""

    def __init__(
        self, config: StudyConfig, run: Run, cells: Sequence[Cell], folder: Path, program: Sequence[str]
    ) -> None:
        self._run = run
        self._cells = cells
        self._folder = folder
        self._program = program
        self._workers = config.workers
        self._threads = config.threads
        self._seconds = config.seconds_per_cell
        self._running: list[_Process] = []
        self._failed: dict[str, str] = {}
        folder.mkdir(parents=True, exist_ok=True)
        files.sweep(folder)

    def work(self) -> None:
        """Run what is missing, until done or stopped. Raises RunError where cells failed, once the others are done."""
        waiting = [cell for cell in self._cells if finished(self._folder, cell) is None]
        done = len(self._cells) - len(waiting)
        if done:
            self._run.say(f"{done} of {len(self._cells)} cells have finished already")
            self._seconds = self._seconds or self._learned()
        self._estimate(len(waiting))
        asked = False
        with self._run.progress(len(self._cells), "cells") as progress:
            progress.update(done, {})
            try:
                while (waiting and not self._run.stop.requested) or self._running:
                    if self._run.stop.requested and not asked:
                        asked = True
                        self._ask()
                    elif not asked:
                        self._start(waiting)
                    self._collect(progress, waiting)
                    time.sleep(PATIENCE_S)
            finally:
                for process in self._running:  # after a second Ctrl-C, or an error
                    process.popen.kill()
                    process.popen.wait()
        if self._failed and not self._run.stop.requested:
            reasons = "\n".join(f"  {name}: {reason}" for name, reason in self._failed.items())
            raise RunError(f"{len(self._failed)} cells failed; a resume runs them again:\n{reasons}")

    def _start(self, waiting: list[Cell]) -> None:
        for cell in list(waiting):
            if len(self._running) >= self._workers:
                return
            running = {process.cell.digest for process in self._running}
            warm = finished(self._folder, cell.needs) if cell.needs else None
            if cell.digest in running or (cell.needs and warm is None and cell.needs.name not in self._failed):
                continue
            waiting.remove(cell)
            if finished(self._folder, cell):  # an arm of the same config was there first
                continue
            if cell.needs and warm is None:
                self._failed[cell.name] = "its warm start failed"
                continue
            self._running.append(self._launch(cell, warm))

    def _launch(self, cell: Cell, warm: Path | None) -> _Process:
        recipe, log = self._folder / f"{cell.name}.yaml", self._folder / f"{cell.name}.log"
        begun = newest_unfinished(self._folder, cell.name)
        if begun:
            words = ["resume", str(begun)]
        else:
            files.write_atomic(recipe, yaml12.dump(cell.plain(warm and warm.absolute())))
            words = ["run", str(recipe), "--runs-dir", str(self._folder)]
        if self._run.data.path is not None:
            words += ["--data-root", str(self._run.data.path)]
        path = os.pathsep.join(entry or str(Path.cwd()) for entry in sys.path)
        threads = str(self._threads)
        with log.open("ab") as out:
            popen = subprocess.Popen(
                [*self._program, *words],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads},
                process_group=0,  # Ctrl-C is the study's, which passes it on
            )
        return _Process(popen, cell, log)

    def _collect(self, progress: Progress, waiting: list[Cell]) -> None:
        ended = [process for process in self._running if process.popen.poll() is not None]
        self._running = [process for process in self._running if process not in ended]
        for process in ended:
            cell, folder = process.cell, finished(self._folder, process.cell)
            if folder is None:
                if not self._run.stop.requested:
                    self._failed[cell.name] = f"{_tail(process.log)} ({process.log})"
                    progress.note(f"{cell.arm}, seed {cell.seed}: failed, see {process.log}")
                continue
            seconds = read_object(folder / "result.json")["seconds"]
            progress.note(f"{cell.arm}, seed {cell.seed}: {duration(seconds)}")
            if self._seconds is None and not cell.is_warm:
                self._seconds = seconds
                self._estimate(len(waiting) + len(self._running))
        if ended:
            progress.update(len(self._cells) - len(waiting) - len(self._running), {})

    def _estimate(self, cells: int) -> None:
        if self._seconds is not None and cells:
            left = cells * self._seconds / min(self._workers, cells)
            said = f"{duration(left)} for cells: {cells}, of {duration(self._seconds)} each, {self._workers} at a time"
            self._run.say(f"estimate: {said}")

    def _learned(self) -> float | None:
        """The mean time of the cells that have finished."""
        folders = [found for cell in self._cells if not cell.is_warm and (found := finished(self._folder, cell))]
        times = [read_object(folder / "result.json")["seconds"] for folder in folders]
        return sum(times) / len(times) if times else None

    def _ask(self) -> None:
        """Ask all cells to stop with a checkpoint."""
        for process in self._running:
            process.popen.send_signal(signal.SIGINT)


def _tail(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " | ".join(lines[-_TAIL:])[-600:] or "it printed nothing"
