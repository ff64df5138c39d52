"""What is wrong with a run, from the files in its folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from espalier.core.errors import DataError
from espalier.core.run.folder import read_state, standing
from espalier.core.tracking.findings import Finding, not_finite
from espalier.core.tracking.live import LIVE, read_live
from espalier.core.tracking.metrics import History, read_history
from espalier.core.tracking.progress import duration
from espalier.core.tracking.warnings import read_warnings

SILENT_STEPS, SILENT_SECONDS = 10.0, 60.0
"""A run is silent if it has logged nothing for so many times its mean step, and for so many seconds (ours)."""
SHOWN = 3
"""Warnings that are shown, the first ones."""

Examine = Callable[[History], Sequence[Finding]]


def diagnose(path: Path, examine: Examine, *, now: Callable[[], float] = time.time) -> list[Finding]:
    """The findings about the run in the folder `path`; `examine` has the rules of its job.

    Raises RunError where its state cannot be read.
    """
    found: list[Finding] = []
    try:
        history = read_history(path / "metrics.jsonl")
        found += _silent(path, history, now())
        found += [one for one in (not_finite(history),) if one is not None]
        found += examine(history)
        found += _warned(path)
    except DataError as error:
        advice = "the file is the source of every curve: keep a copy, and remove the line"
        found.append(Finding("broken_file", "a file of the run is broken", str(error), advice))
    return [*_ended(path), *found]


def _ended(path: Path) -> list[Finding]:
    """How it ended, if not well."""
    state = read_state(path)
    again = f"`espalier resume {path}` goes on from the last checkpoint"
    match standing(path, state):
        case "failed":
            return [Finding("failed", "the run failed", state.error, f"correct what the error names; {again}")]
        case "killed":
            advice = f"look for the kernel's out-of-memory killer (`dmesg`), and at memory/peak_gib; {again}"
            return [Finding("killed", "the process of the run ended without a word", _doing(path), advice)]
        case "interrupted":
            return [Finding("interrupted", "the run was stopped before its end", _doing(path), again)]
    return []


def _doing(path: Path) -> str:
    """What it did last."""
    try:
        live = read_live(path / LIVE)
    except DataError:
        live = None
    if live is None:
        return f"state.json says so; its age was {duration(read_state(path).seconds)}"
    work = "; ".join(f"{one.who} {one.doing}" for one in live.work)
    return f"at step {live.step} of {live.total} of {live.title}" + (f": {work}" if work else "")


def _silent(path: Path, history: History, now: float) -> list[Finding]:
    """A run that goes on and logs nothing any more."""
    file = path / "metrics.jsonl"
    points = [point for series in history.values() for point in series]
    if not points or standing(path, read_state(path)) != "running":
        return []
    steps, seconds = {point.step for point in points}, [point.seconds for point in points]
    step = (max(seconds) - min(seconds)) / max(len(steps) - 1, 1)
    silence = now - file.stat().st_mtime
    if silence <= max(SILENT_SECONDS, SILENT_STEPS * step):
        return []
    evidence = f"nothing was logged for {duration(silence)}; a step took {step:.3g} s. It is {_doing(path)}"
    advice = "`espalier watch` shows what it waits for"
    return [Finding("silent", "the run goes on, and logs nothing", evidence, advice)]


def _warned(path: Path) -> list[Finding]:
    told = read_warnings(path / "warnings.jsonl")
    if not told:
        return []
    texts = [f"{'' if one.step is None else f'step {one.step}: '}{one.text}" for one in told[:SHOWN]]
    more = [f"and {len(told) - SHOWN} more"] if len(told) > SHOWN else []
    what = "the run warned" if len(told) == 1 else f"the run warned {len(told)} times"
    return [Finding("warned", what, "\n".join([*texts, *more]), "warnings.jsonl and the report have them all")]
