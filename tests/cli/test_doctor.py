"""`espalier doctor`."""

import json
from pathlib import Path

import pytest

from espalier.cli.main import main
from espalier.core.run.run import Run

TASKS = {"tasks": [{"env": "multiplication"}]}


def run_of(tmp_path: Path, config: dict[str, object], **metrics: float) -> Path:
    with Run.create(tmp_path, job="rl.train", name="toy", config=config) as run:
        for step in range(1, 11):
            run.metrics.log(step, {name.replace("__", "/"): value for name, value in metrics.items()})
        run.finish({})
    return run.path


def test_findings_are_numbered_with_evidence_and_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run_of(tmp_path, TASKS, reward__zero_std_frac=1.0, len__truncated=0.75)
    assert main(["doctor", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(path)
    assert lines[1] == "1. in most groups all rewards are equal, so that nothing is learned from them"
    assert lines[2] == "   evidence: 100% of the groups of the last 20 steps; the mean reward is 0"
    assert lines[3].startswith("   to do:    where the reward is high")
    assert any(line == "2. most answers are cut off before their end" for line in lines)
    assert max(map(len, lines[1:])) <= 110


def test_json_is_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run_of(tmp_path, TASKS, len__truncated=0.75)
    assert main(["doctor", str(path), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["run"] == str(path)
    (one,) = said["findings"]
    assert one.keys() == {"rule", "what", "evidence", "advice"}
    assert one["rule"] == "truncated"


def test_nothing_found_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = run_of(tmp_path, TASKS, len__truncated=0.25)
    assert main(["doctor", str(path)]) == 0
    assert capsys.readouterr().out == f"{path}\nnothing found\n"


def test_a_config_of_another_version_leaves_out_only_the_rules_of_the_job(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = run_of(tmp_path, {**TASKS, "former": 1}, len__truncated=0.75, odd=float("nan"))
    assert main(["doctor", str(path), "--json"]) == 0
    rules = [one["rule"] for one in json.loads(capsys.readouterr().out)["findings"]]
    assert rules == ["not_finite", "no_rules"]


def test_a_run_of_another_job_is_examined_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Run.create(tmp_path, job="robots.drive", name="toy") as run:
        run.warn("odd")
        run.finish({})
    assert main(["doctor", str(run.path)]) == 0
    assert "the run warned" in capsys.readouterr().out
