"""Studies whose cells are functions, not recipes: a file each, made once, by several processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from espalier.core.io.files import sweep
from espalier.core.run.pieces import has_piece, read_piece, write_piece
from espalier.core.run.run import Run
from espalier.core.workers import worked

Task = TypeVar("Task")
Piece = dict[str, Any]
Found = list[tuple[Task, Piece]]
"""Tasks with their pieces, in the order of the tasks."""


def made(
    run: Run,
    tasks: Sequence[Task],
    one: Callable[[Task], Mapping[str, Any]],
    file: Callable[[Task], Path],
    *,
    title: str,
    tell: Callable[[Task, Piece], tuple[str, Mapping[str, float]]],
    workers: int = 1,
    begin: Callable[[], None] | None = None,
    after: Callable[[Found[Task]], None] | None = None,
) -> Found[Task]:
    """Make the pieces that are missing, and return all; after a stop, those that are there.

    one: makes the piece of a task, which is written to `file`. With several workers both must be picklable, and each
    process calls `begin` first. tell: a line and the values that the progress called `title` shows of a new piece.
    after: called with what is there after each new piece.
    """
    files = [file(task) for task in tasks]
    for folder in {path.parent for path in files}:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
    there = {path: read_piece(path) for path in files if has_piece(path, run.say)}
    waiting = [task for task, path in zip(tasks, files, strict=True) if path not in there]
    if there:
        run.say(f"{len(tasks) - len(waiting)} of {len(tasks)} {title} are there already")

    def found() -> Found[Task]:
        return [(task, there[path]) for task, path in zip(tasks, files, strict=True) if path in there]

    ended = worked(waiting, partial(_make, one, file), workers, lambda: run.stop.requested, begin)
    with run.progress(len(tasks), title) as progress:
        progress.update(len(tasks) - len(waiting), {})
        for done, (task, piece) in enumerate(ended, len(tasks) - len(waiting) + 1):
            there[file(task)] = piece
            line, values = tell(task, piece)
            progress.update(done, values)
            progress.note(line)
            if after:
                after(found())
    return found()


def _make(one: Callable[[Task], Mapping[str, Any]], file: Callable[[Task], Path], task: Task) -> Piece:
    write_piece(file(task), one(task))
    return read_piece(file(task))
