"""Tasks on several processes: each once, in any order, until stopped; what a task raises is raised."""

from __future__ import annotations

import os
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from time import sleep

import pytest

from espalier.core.workers import worked


def half(number: int) -> tuple[float, int]:
    if number == 13:
        raise ValueError("thirteen")
    return number / 2, os.getpid()


def mark(folder: Path) -> None:
    (folder / str(os.getpid())).touch()


@pytest.mark.parametrize("workers", [1, 2])
def test_each_task_is_done_once(workers: int, tmp_path: Path) -> None:
    found = dict(worked(range(7), half, workers, lambda: False, partial(mark, tmp_path)))
    assert {task: result for task, (result, _) in found.items()} == {k: k / 2 for k in range(7)}
    pids = {pid for _, pid in found.values()}
    assert (os.getpid() in pids) == (workers == 1)
    assert workers == 1 or {str(pid) for pid in pids} <= {file.name for file in tmp_path.iterdir()}


@pytest.mark.parametrize("workers", [1, 2])
def test_none_begins_after_the_stop(workers: int) -> None:
    ended: list[int] = []
    for task, _ in worked(range(100), half, workers, lambda: len(ended) >= 3):
        ended.append(task)
    assert 3 <= len(ended) <= 3 + 2 * workers
    assert len(set(ended)) == len(ended)


def test_after_an_error_only_its_own_processes_end() -> None:
    """A child of somebody else sleeps on."""
    other = get_context("spawn").Process(target=sleep, args=(60,))
    other.start()
    try:
        with pytest.raises(ValueError, match="thirteen"):
            list(worked([13, 1, 2], half, 2, lambda: False))
        assert other.is_alive()
    finally:
        other.terminate()


@pytest.mark.parametrize("workers", [1, 2])
def test_what_a_task_raises_is_raised(workers: int) -> None:
    with pytest.raises(ValueError, match="thirteen"):
        list(worked([1, 13, 2], half, workers, lambda: False))
