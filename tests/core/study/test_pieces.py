"""Cells that are functions: each made once, read back, and made again where a file is broken."""

from __future__ import annotations

import io
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from espalier.core.run.run import Run
from espalier.core.study.pieces import Found, made
from espalier.core.study.results import markdown


def square(marks: Path, task: int) -> dict[str, Any]:
    with (marks / "calls").open("a") as file:
        file.write(f"{task}\n")
    return {"square": task * task}


def place(folder: Path, task: int) -> Path:
    return folder / f"{task}.json"


def begin(root: Path) -> tuple[Run, io.StringIO]:
    out = io.StringIO()
    return Run.create(root, job="toy", name="toy", console=Console(file=out, width=200)), out


def make(run: Run, marks: Path, tasks: list[int], workers: int = 1, stop_at: int = 0) -> tuple[Found[int], list[int]]:
    """What was found, and how much was there after each new piece."""
    seen: list[int] = []

    def after(found: Found[int]) -> None:
        seen.append(len(found))
        if len(seen) == stop_at:
            run.stop.request()

    one, file = partial(square, marks), partial(place, marks / "pieces")
    found = made(run, tasks, one, file, title="squares", tell=lambda t, p: (str(t), p), workers=workers, after=after)
    return found, seen


@pytest.mark.parametrize("workers", [1, 2])
def test_each_is_made_once_and_given_in_the_order_of_the_tasks(tmp_path: Path, workers: int) -> None:
    run, out = begin(tmp_path)
    with run:
        found, seen = make(run, tmp_path, [3, 1, 2], workers)
        assert found == [(3, {"square": 9}), (1, {"square": 1}), (2, {"square": 4})]
        assert seen == [1, 2, 3]
        again, seen = make(run, tmp_path, [2, 4, 3], workers)
    assert again == [(2, {"square": 4}), (4, {"square": 16}), (3, {"square": 9})]
    assert seen == [3]
    assert sorted((tmp_path / "calls").read_text().split()) == ["1", "2", "3", "4"]
    assert "2 of 3 squares are there already" in out.getvalue()


def test_a_broken_file_is_made_again_and_a_stop_leaves_what_is_there(tmp_path: Path) -> None:
    run, out = begin(tmp_path)
    with run:
        make(run, tmp_path, [1, 2])
        file = tmp_path / "pieces" / "1.json"
        file.write_text(file.read_text().replace('"square": 1', '"square": 7'))
        found, _ = make(run, tmp_path, [1, 2, 3, 4], stop_at=1)
    assert found == [(1, {"square": 1}), (2, {"square": 4})]
    assert "1.json is broken" in out.getvalue()


def test_markdown_by_hand() -> None:
    text = markdown(["", "a"], [["x", 0.123456], ["y", None], ["z", 12]])
    assert text == "| | a |\n| --- | --- |\n| x | 0.123 |\n| y |  |\n| z | 12 |\n"
