"""`espalier runs` and `espalier compare`."""

import json
import shutil
from pathlib import Path

import pytest

from espalier.cli.main import main
from espalier.core.run.run import Run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for name, value in (("b", 0.25), ("a", 0.75)):
        with Run.create(tmp_path, job="toy.train", name=name) as run:
            run.metrics.log(7, {"reward/total": value, "eval/avg": value / 2})
            run.metrics.log(8, {"reward/total": 2 * value})
            run.finish({"accuracy_after": 1.0})
    return tmp_path


def listed(runs: Path, capsys: pytest.CaptureFixture[str], *words: str) -> list[dict[str, object]]:
    assert main(["runs", "--runs-dir", str(runs), "--json", *words]) == 0
    rows: list[dict[str, object]] = json.loads(capsys.readouterr().out)
    return rows


def test_a_row_has_the_last_values_of_the_run(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = listed(runs, capsys, "b")
    assert row.items() >= {"name": "b", "job": "toy.train", "status": "finished", "steps": 8}.items()
    assert row.items() >= {"accuracy": 0.125, "reward": 0.5, "figures": {"accuracy_after": 1.0}}.items()


def test_rows_are_sorted(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert [row["name"] for row in listed(runs, capsys, "--sort", "name")] == ["a", "b"]
    assert [row["name"] for row in listed(runs, capsys, "--sort", "accuracy")] == ["b", "a"]


def test_the_table_has_killed_running_and_broken_runs(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    going = Run.create(runs, job="toy.train", name="going")
    shutil.copytree(going.path, runs / "dead" / "2026-01-01_00-00-00")
    (runs / "bad" / "x").mkdir(parents=True)
    (runs / "bad" / "x" / "config.yaml").write_text("a: [")
    assert main(["runs", "--runs-dir", str(runs)]) == 0
    out = capsys.readouterr().out
    statuses = {line.split()[0]: line.split()[3] for line in out.splitlines() if line.split()[0] in ("a", "going")}
    assert statuses == {"a": "finished", "going": "running"}
    assert "killed" in out
    assert f"{runs}/bad/x: {runs}/bad/x/config.yaml is broken" in out


def test_no_runs_are_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--runs-dir", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"there is no run below {tmp_path}/\n"


def test_compare_writes_one_page(runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "page.html"
    assert main(["compare", str(runs / "a"), str(runs / "b"), "--out", str(out)]) == 0
    assert "Settings that differ" in out.read_text()
    assert main(["compare", str(runs / "a"), "--out", str(out)]) == 2
    assert main(["compare", str(runs / "a"), str(runs / "b"), "--out", str(tmp_path / "no" / "p.html")]) == 2
    assert "there is no folder" in capsys.readouterr().err


def test_report_takes_a_port_only_where_it_serves(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", str(runs / "a"), "--port", "1"]) == 2
    assert "--port is of `espalier report --serve`" in capsys.readouterr().err
