from pathlib import Path

import pytest

from espalier.core.errors import DataError
from espalier.core.run.run import Run
from espalier.core.tracking.warnings import MOST, WarningLog, read_warnings


def test_what_is_said_as_a_warning_is_kept_and_a_resumed_run_says_it_once(tmp_path: Path) -> None:
    run = Run.create(tmp_path, job="toy.train", name="toy")
    run.say("plain")
    run.say("warning: narrow")
    run.warn("idle", 3)
    run.warn("idle", 3)
    run.warn("idle", 4)
    found = read_warnings(run.path / "warnings.jsonl")
    assert [(w.text, w.step) for w in found] == [("narrow", None), ("idle", 3), ("idle", 4)]


def test_a_run_that_warns_without_end_does_not_fill_the_disk(tmp_path: Path) -> None:
    log = WarningLog(tmp_path / "w.jsonl", seconds=lambda: 1.0)
    for step in range(MOST + 5):
        log.add("again", step)
    assert len(read_warnings(tmp_path / "w.jsonl")) == MOST
    WarningLog(tmp_path / "w.jsonl", seconds=lambda: 1.0).add("again", -1)
    assert len(read_warnings(tmp_path / "w.jsonl")) == MOST


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "w.jsonl").write_text('{"text": "a"}\n{"txet": "a"}\n')
    with pytest.raises(DataError, match=r"w\.jsonl:2: "):
        read_warnings(tmp_path / "w.jsonl")
