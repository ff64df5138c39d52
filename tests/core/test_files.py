import json
import multiprocessing
import os
import signal
import time
from pathlib import Path

import pytest

from espalier.core.io.files import atomic_dir, sweep, temporary, write_atomic, write_json


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_write_atomic_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_atomic(target, "one")
    write_atomic(target, "zwei · 二".encode())
    assert target.read_text() == "zwei · 二"
    assert names(tmp_path) == ["a.txt"]


def test_an_error_while_writing_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "a.json"
    write_json(target, [1])
    with pytest.raises(TypeError):
        write_json(target, [object()])
    assert json.loads(target.read_text()) == [1]
    assert names(tmp_path) == ["a.json"]


def test_atomic_dir_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "step_1"
    with atomic_dir(target) as temp:
        (temp / "inner").mkdir()
        (temp / "inner" / "weights").write_bytes(b"w")
        assert not target.exists()
    assert (target / "inner" / "weights").read_bytes() == b"w"

    with pytest.raises(FileNotFoundError), atomic_dir(target) as temp:
        (temp / "no" / "such").touch()
    assert names(target) == ["inner"]
    assert names(target.parent) == ["step_1"]


def test_atomic_dir_replaces_a_folder(tmp_path: Path) -> None:
    for content in ("old", "new"):
        with atomic_dir(tmp_path / "a") as temp:
            (temp / content).touch()
    assert names(tmp_path / "a") == ["new"]
    assert names(tmp_path) == ["a"]


def test_atomic_files_may_be_written_inside_an_atomic_dir(tmp_path: Path) -> None:
    with atomic_dir(tmp_path / "a") as temp:
        write_json(temp / "state.json", {})
    assert names(tmp_path / "a") == ["state.json"]


def _die_while_writing(path: Path, ready: "multiprocessing.synchronize.Event") -> None:
    with atomic_dir(path) as temp:
        (temp / "half").touch()
        ready.set()
        time.sleep(60)


def test_sweep_removes_what_a_killed_writer_left_and_nothing_that_is_alive(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    writer = context.Process(target=_die_while_writing, args=(tmp_path / "step_2", ready))
    writer.start()
    assert ready.wait(30)

    sweep(tmp_path)
    assert len(names(tmp_path)) == 1, "the writer lives: its folder stays"
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join()
    assert len(names(tmp_path)) == 1, "the killed writer could not clean up"
    with temporary(tmp_path / "mine", folder=True) as mine:
        sweep(tmp_path)
        assert names(tmp_path) == [mine.name]


def test_sweep_undoes_half_a_replacement(tmp_path: Path) -> None:
    (tmp_path / ".a.old").mkdir()
    (tmp_path / ".a.old" / "weights").touch()
    (tmp_path / "b").mkdir()
    (tmp_path / ".b.old").mkdir()
    sweep(tmp_path)
    assert names(tmp_path) == ["a", "b"]
    assert names(tmp_path / "a") == ["weights"]
