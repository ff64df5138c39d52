"""Studies of a toy job, each cell a process: resumed after a kill, with shared warm starts, failures and stops."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from study_toy import HOUSE, TOY, Learn

from espalier.cli import jobs
from espalier.core.errors import ConfigError, RunError
from espalier.core.recipe import yaml12
from espalier.core.recipe.resolve import load_recipe
from espalier.core.run.run import Run
from espalier.core.study.cells import cells_of
from espalier.core.study.config import StudyConfig
from espalier.core.study.job import study
from espalier.core.study.jobs import jobs as jobs_of
from espalier.core.study.report import averaged
from espalier.core.study.results import read_results
from espalier.core.study.targets import judge

BASE: dict[str, Any] = {
    "base": {"job": "toy.learn"},
    "arms": {"ours": {"gain": 1.0}, "base": {"gain": 0.5}, "shuffled": {"gain": 0.0}},
    "claims": {"learns": {"arm": "ours"}, "better": {"arm": "ours", "against": "base"}},
    "controls": {"shuffled learns": {"arm": "shuffled"}},
    "seeds": 2,
    "minus": "accuracy_before",
}


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "DOMAINS", {"toy": lambda: TOY})


def config(**more: Any) -> StudyConfig:
    return StudyConfig.of(**BASE | more)


def run_study(given: StudyConfig, root: Path, resume: Path | None = None) -> tuple[dict[str, float], Path, str]:
    """Its figures, its folder and what it said."""
    out = io.StringIO()
    console = Console(file=out, width=200)
    run = (
        Run.reopen(resume, console=console) if resume else Run.create(root, job="core.study", name="s", console=console)
    )
    with run:
        figures = study(given, run, HOUSE)
        if not run.stop.requested:
            run.finish(figures)
    return figures, run.path, out.getvalue()


def cell_folders(path: Path) -> list[Path]:
    return sorted(file.parent for file in (path / "checkpoints" / "cells").glob("*/[!.]*/config.yaml"))


def test_a_study_writes_result_file_table_and_report(tmp_path: Path) -> None:
    given = config(workers=2, out=tmp_path / "docs" / "toy.json")
    figures, path, said = run_study(given, tmp_path)
    # steps 1, 2 add gain * (1 + seed / 10): gains of 2 and 2.2, 1 and 1.1, 0 and 0
    assert figures == pytest.approx(
        {"learns": 2.1, "better": 1.05, "shuffled learns": 0.0, "PASS": 0, "INDICATION": 3, "MISS": 0}
    )
    plain = json.loads((path / "artefacts" / "results.json").read_text())
    assert plain == json.loads((tmp_path / "docs" / "toy.json").read_text())
    assert list(plain) == ["rows", "cells", "command", "commit", "machine", "seconds"]
    assert list(plain["rows"][0]) == ["name", "kind", "value", "low", "high", "target", "seeds", "verdict"]
    assert list(plain["cells"][0]) == ["arm", "seed", "value", "tokens", "cpu_seconds", "config_hash", "others"]
    assert [(c["arm"], c["seed"], c["tokens"]) for c in plain["cells"][:3]] == [
        ("ours", 0, 20.0),
        ("base", 0, 20.0),
        ("shuffled", 0, 20.0),
    ]
    assert plain["rows"][0]["low"] == pytest.approx(2.1 - 12.7062 * 0.1, rel=1e-5)
    found = read_results(path / "artefacts" / "results.json")
    assert judge(given, found.cells) == found.rows
    assert (
        "| learns | claim | 2.1 | 0.8294 to 3.371 | 0.0000 | 2 | INDICATION |"
        in (path / "artefacts" / "table.md").read_text()
    )
    assert "estimate: " in said
    assert "generated_tokens/ours" in (path / "report.json").read_text()
    assert (path / "report.html").is_file()


def test_arms_of_one_config_share_a_cell_and_warm_starts_come_first(tmp_path: Path) -> None:
    given = config(
        warm_start={"job": "toy.learn", "gain": 3.0, "steps": 1},
        base={"job": "toy.learn", "start": "{warm_start}/artefacts"},
        arms={**BASE["arms"], "shuffled": {"gain": 0.0}, "again": {"gain": 0.0}},
        cache=tmp_path / "cache",
    )
    figures, path, _ = run_study(given, tmp_path)
    assert figures["learns"] == pytest.approx(2.1)
    names = sorted(file.name.rpartition("-")[0] for file in (tmp_path / "cache").iterdir() if file.is_dir())
    assert names == ["base-0", "base-1", "ours-0", "ours-1", "shuffled-0", "shuffled-1", "warm_start-0", "warm_start-1"]
    log = [
        json.loads(line) for folder in (tmp_path / "cache").glob("base-1-*/*/metrics.jsonl") for line in folder.open()
    ]
    assert log[0]["eval/avg"] == pytest.approx(3.3)  # of the warm start of the same seed
    # another study finds all in the cache
    figures, other, said = run_study(given, tmp_path)
    assert "10 of 10 cells have finished already" in said
    assert other != path


def test_a_killed_study_runs_only_what_is_missing(tmp_path: Path) -> None:
    slow = {**BASE, "base": {"job": "toy.learn", "steps": 6, "pause": 0.25}, "seeds": 1, "job": "core.study"}
    recipe = tmp_path / "slow.yaml"
    recipe.write_text(yaml12.dump(slow))
    toy_program = list(HOUSE.program)
    started = subprocess.Popen([*toy_program, "run", str(recipe)], cwd=tmp_path, stdout=subprocess.DEVNULL)
    with _ended(started):
        path = _wait(lambda: next(tmp_path.glob("runs/slow/[!.]*"), None))
        first = _wait(lambda: next(path.glob("checkpoints/cells/ours-0-*/*/result.json"), None))
        begun = _wait(lambda: next(path.glob("checkpoints/cells/base-0-*/*/checkpoints/state.json"), None))
    stamp = first.stat().st_mtime_ns
    lines = (begun.parents[1] / "metrics.jsonl").read_text().count("\n")
    time.sleep(1.0)
    assert (begun.parents[1] / "metrics.jsonl").read_text().count("\n") <= lines + 1  # the cell ended with the study
    done = subprocess.run([*toy_program, "resume", str(path)], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 3 cells have finished already" in done.stdout
    assert first.stat().st_mtime_ns == stamp
    assert len(cell_folders(path)) == 3  # the one that was killed went on
    found = read_results(path / "artefacts" / "results.json")
    assert {cell.arm: cell.value for cell in found.cells} == pytest.approx({"ours": 6.0, "base": 3.0, "shuffled": 0.0})


def test_ctrl_c_asks_the_cells_to_stop(tmp_path: Path) -> None:
    recipe = tmp_path / "slow.yaml"
    slow = {"job": "toy.learn", "steps": 100, "pause": 0.1}
    recipe.write_text(yaml12.dump({**BASE, "base": slow, "job": "core.study"}))
    started = subprocess.Popen([*HOUSE.program, "run", str(recipe)], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    with _ended(started):
        _wait(lambda: next(tmp_path.glob("runs/slow/[!.]*/checkpoints/cells/ours-0-*/*/checkpoints/state.json"), None))
        started.send_signal(signal.SIGINT)
        out, _ = started.communicate(timeout=30)
        assert started.returncode == 130
    (cell,) = cell_folders(next(tmp_path.glob("runs/slow/[!.]*")))
    assert json.loads((cell / "state.json").read_text())["status"] == "interrupted"
    assert "espalier resume" in out


def test_a_failed_cell_is_told_and_does_not_stop_the_others(tmp_path: Path) -> None:
    arms = {**BASE["arms"], "base": {"fail": True}}
    with pytest.raises(RunError, match=r"(?s)1 cells failed.*base-0-\w+: .*bad row"):
        run_study(config(arms=arms, seeds=1), tmp_path)
    path = next((tmp_path / "s").iterdir())
    assert len([folder for folder in cell_folders(path) if (folder / "result.json").exists()]) == 2


def test_a_wrong_arm_is_named_before_any_cell_runs(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"arms\.base: .*'gian'.*gain"):
        run_study(config(arms={**BASE["arms"], "base": {"gian": 1}}), tmp_path)
    assert not (tmp_path / "s").exists()
    with pytest.raises(ConfigError, match="the study has none"):
        cells_of(config(base={"job": "toy.learn", "start": "{warm_start}/x"}), 0, HOUSE)


def test_the_hash_is_of_what_a_cell_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    def hashes(**more: Any) -> list[str]:
        return [cell.digest for cell in cells_of(config(**more), 0, HOUSE)]

    plain = hashes()
    assert len(set(plain)) == 6
    assert hashes(workers=2, measure="eval/avg:max") == plain
    assert hashes(base={"job": "toy.learn", "name": "other", "steps": 2}) == plain  # a default, and the run's name
    assert not set(hashes(base={"job": "toy.learn", "steps": 3})) & set(plain)
    warm = {"warm_start": {"job": "toy.learn"}, "base": {"job": "toy.learn", "start": "{warm_start}/x"}}
    again = {**warm, "warm_start": {"job": "toy.learn", "steps": 9}}
    assert not set(hashes(**warm)) & set(hashes(**again))
    monkeypatch.setattr(Learn, "later", frozenset({"tokens"}))
    later = hashes()
    assert later != plain
    assert hashes(base={"job": "toy.learn", "tokens": 10.0}) == later
    assert hashes(base={"job": "toy.learn", "tokens": 11.0}) != later


def test_a_file_counts_by_its_content_wherever_it_lies(tmp_path: Path) -> None:
    def hashes(name: str, text: str) -> list[str]:
        file = tmp_path / name
        file.write_text(text)
        return [cell.digest for cell in cells_of(config(base={"job": "toy.learn", "start": str(file)}), 0, HOUSE)]

    assert hashes("one", "1") == hashes("other", "1")
    assert not set(hashes("one", "1")) & set(hashes("one", "2"))

    def plugin(name: str, text: str) -> list[str]:
        (tmp_path / name).write_text(text)
        own = {"job": "toy.learn", "plugin": f"{tmp_path}/{name}:score"}
        return [cell.digest for cell in cells_of(config(base=own), 0, HOUSE)]

    assert plugin("a.py", "score = 1") == plugin("b.py", "score = 1")
    assert not set(plugin("a.py", "score = 1")) & set(plugin("a.py", "score = 2"))


def test_files_that_a_cell_names_are_looked_for_beside_the_study(tmp_path: Path) -> None:
    (tmp_path / "first.txt").write_text("1")
    study_file = tmp_path / "mine.yaml"
    study_file.write_text(
        "job: core.study\nbase: {job: toy.learn, table: first.txt}\narms: {a: {}}\n"
        "claims: {x: {arm: a}}\ncontrols: {c: {arm: a}}\nseeds: 1\n"
    )
    found = load_recipe([study_file], [], lambda name: jobs_of(HOUSE)[0]).config
    assert isinstance(found, StudyConfig)
    again = StudyConfig.of(**found.model_dump(mode="json"))  # as a resumed run reads it
    for given in (found, found.chosen(), again):
        (cell,) = cells_of(given, 0, HOUSE)
        assert cell.recipe.config.table == tmp_path / "first.txt"  # type: ignore[attr-defined]


def test_a_study_over_a_recipe_and_its_smoke_variant(tmp_path: Path) -> None:
    file = tmp_path / "toy.yaml"
    file.write_text("job: toy.learn\nsteps: 7\n")
    smoke = {"seeds": 1, "base": {"steps": 1}, "only": ["ours", "shuffled"]}
    whole = config(recipe=str(file), base={"tokens": 5.0}, smoke=smoke, out=tmp_path / "x.json")
    assert whole.chosen() is whole
    assert [cell.recipe.resolved["steps"] for cell in cells_of(whole, 0, HOUSE)] == [7] * 6
    small = whole.model_copy(update={"variant": "smoke"}).chosen()
    found = [
        (cell.arm, cell.recipe.resolved["steps"], cell.recipe.resolved["tokens"]) for cell in cells_of(small, 0, HOUSE)
    ]
    assert found == [("ours", 1, 5.0), ("shuffled", 1, 5.0)]
    assert small.out is None  # a smoke variant is no evidence


def test_metrics_are_read_at_equal_cost(tmp_path: Path) -> None:
    arms = {**BASE["arms"], "base": {"gain": 0.5, "steps": 8, "tokens": 5.0}}
    given = config(arms=arms, measure="eval/avg:last", minus=None, budget=20.0, seeds=1)
    figures, _, _ = run_study(given, tmp_path)
    assert figures["better"] == pytest.approx(2.0 - 2.0)  # 2 steps of 1.0 and 4 of 0.5, for 20 tokens each


def test_curves_are_averaged_where_all_are_known() -> None:
    found = averaged([[(0.0, 0.0), (100.0, 10.0)], [(0.0, 2.0), (50.0, 12.0)], []])
    assert (found[0][0], found[-1][0]) == (0, 50)
    assert (found[0][1].value, found[-1][1].value) == pytest.approx((1.0, 8.5))
    assert averaged([[]]) == []


@contextlib.contextmanager
def _ended(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Kills the process at the end of the block, as nothing could be asked of it."""
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGKILL)
        process.wait()


def _wait(look: Any) -> Path:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (found := look()) is not None:
            return Path(found)
        time.sleep(0.02)
    raise AssertionError(f"{sys.argv[0]}: nothing came")
