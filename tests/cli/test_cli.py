import json
import logging
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from espalier.cli.commands.showing import _summary
from espalier.cli.main import _unless_interrupted, share_cores

TOY = [sys.executable, str(Path(__file__).with_name("toy.py"))]
Done = subprocess.CompletedProcess[str]
Call = Callable[..., Done]


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with recipes."""
    recipes = tmp_path / "recipes" / "toy"
    recipes.mkdir(parents=True)
    (recipes / "count.yaml").write_text("# Counts to three.\njob: toy.count\nsteps: 3\n")
    (recipes / "other.yaml").write_text("job: toy.count\n")
    return tmp_path


@pytest.fixture
def call(here: Path) -> Call:
    def call(*words: str) -> Done:
        return subprocess.run([*TOY, *words], cwd=here, capture_output=True, text=True, timeout=60)

    return call


def only_run(here: Path, name: str = "count") -> Path:
    (path,) = (here / "runs" / name).iterdir()
    return path


def test_run_makes_a_folder_with_result_and_report(call: Call, here: Path) -> None:
    done = call("run", "count", "steps=4", "seed=9")
    assert done.returncode == 0, done.stderr
    path = only_run(here)
    result = json.loads((path / "result.json").read_text())
    assert (result["total"], result["seed"], result["job"]) == (4.0, 9, "toy.count")
    assert f"report: {path.relative_to(here)}/report.html" in done.stdout
    assert (path / "report.html").is_file()


def test_options_may_stand_between_overrides(call: Call, here: Path) -> None:
    done = call("run", "recipes/toy/count.yaml", "--runs-dir", "elsewhere", "steps=1")
    assert done.returncode == 0, done.stderr
    assert list((here / "elsewhere" / "count").iterdir())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rnu"], "there is no command 'rnu'; did you mean 'run': see `espalier --help`"),
        (["run", "cuont"], r"there is no recipe 'cuont'; did you mean 'count'\?"),
        (["run", "toy/cont"], r"there is no recipe 'toy/cont'; did you mean 'toy/count'\?"),
        (["run", "count", "stesp=1"], r"override stesp=1: unknown key 'stesp'; did you mean 'steps'\?"),
        (["run", "count", "job=toy.coutn"], r"override job=toy\.coutn: there is no job 'toy\.coutn'; did you mean"),
        (["run", "count", "job=tyo.count"], r"there is no domain 'tyo' .*; did you mean 'toy'\?"),
        (["run", "steps=1"], "name a recipe"),
        (["run", "count.yml"], r"there is no file count\.yml"),
        (["run", "cont.yaml"], r"there is no file cont\.yaml; did you mean 'count'"),
        (["run", "count", "steps.a", "3"], r"there is no recipe 'steps.a'.* An override is written key=value"),
        (["run", "count", "steps", "3"], "there is no recipe 'steps'.* An override is written key=value"),
        (["run", "count", "--smoke"], "count is no study, and only studies have a small variant"),
        (["run", "count", "--smok"], "unrecognized arguments: --smok"),
        (["run", "count", "data=x.txt", "--data-root", "/nowhere"], r"there is no x\.txt in the data root /nowhere"),
        (["run", "count", "job=toy.absent"], r"needs the package 'torch': pip install 'espalier\[toy\]'"),
        (["run", "count", "fail_at=2"], r"rows\.jsonl:7: bad row"),
        (["resume", "nowhere"], "nowhere is not a run folder"),
        (["report", "nowhere"], "nowhere is not a run folder"),
    ],
)
def test_a_mistake_is_a_message_and_exit_code_2(call: Call, words: list[str], message: str) -> None:
    done = call(*words)
    assert done.returncode == 2
    assert re.search(message, done.stderr), done.stderr
    assert "Traceback" not in done.stderr


def test_a_failed_run_says_how_to_go_on_and_does(call: Call, here: Path) -> None:
    done = call("run", "count", "fail_at=3")
    again = re.search(r"to go on from the last checkpoint: espalier (.*)", done.stdout)
    assert again
    path = only_run(here)
    config = path / "config.yaml"
    config.write_text(config.read_text().replace("fail_at: 3", "fail_at: 0"))
    assert call(*shlex.split(again[1])).returncode == 0
    assert json.loads((path / "result.json").read_text())["total"] == 3.0
    metrics = [json.loads(line)["step"] for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert metrics == [1, 2, 3]


def test_a_mistake_before_the_first_step_leaves_no_folder(call: Call, here: Path) -> None:
    for words in (["data=x.txt", "--data-root", "/nowhere"], ["job=toy.absent"], ["fail_at=1"]):
        done = call("run", "count", *words)
        assert done.returncode == 2
        assert "failed before anything was done" in done.stdout
        assert "to go on" not in done.stdout
        assert not list((here / "runs").iterdir())


def test_a_failure_without_a_checkpoint_offers_none(call: Call, here: Path) -> None:
    done = call("run", "count", "crash_at=1")
    assert "ZeroDivisionError" in done.stderr
    assert "there is no checkpoint yet, so that this begins again: espalier resume" in done.stdout
    assert "from the last checkpoint" not in done.stdout
    assert only_run(here).is_dir()


def test_a_second_ctrl_c_is_words(here: Path, call: Call) -> None:
    process, path = start_slow(here, "pause=30")
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in err
    assert "stopped; to go on from the last checkpoint: espalier resume" in out
    assert json.loads((path / "state.json").read_text())["status"] == "interrupted"


@pytest.mark.parametrize("name", ["config.yaml", "environment.json", "metrics.jsonl", "state.json", "report.json"])
@pytest.mark.parametrize("content", [b"", b"{", b"[]\n", b"null\n", b"\xff\xfe\x00\xd8", b"{}\n", b"a: [\n"])
def test_a_broken_file_of_a_run_is_words(call: Call, here: Path, name: str, content: bytes) -> None:
    call("run", "count", "fail_at=3")
    file = only_run(here) / name
    file.write_bytes(content)
    for verb in ("resume", "report"):
        done = call(verb, "runs/count")
        assert "Traceback" not in done.stderr
        assert done.returncode == 0 or re.search(rf"^espalier: .*({name}|rows\.jsonl:7)", done.stderr)


def test_a_run_whose_state_is_gone_goes_on(call: Call, here: Path) -> None:
    call("run", "count", "fail_at=3")
    path = only_run(here)
    (path / "state.json").unlink()
    config = path / "config.yaml"
    config.write_text(config.read_text().replace("fail_at: 3", "fail_at: 0"))
    assert call("resume", "runs/count").returncode == 0
    (path / "state.json").unlink()
    assert "has finished" in call("resume", "runs/count").stderr


def start_slow(here: Path, *words: str) -> tuple[subprocess.Popen[str], Path]:
    """A run of 1000 slow steps that has made its first checkpoint."""
    process = subprocess.Popen(
        [*TOY, "run", "count", "steps=1000", "pause=0.05", *words],
        cwd=here,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while not list((here / "runs").glob("count/*/checkpoints/1")) and time.monotonic() < deadline:
        time.sleep(0.02)
    return process, only_run(here)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_after_the_step_and_prints_the_command_that_goes_on(here: Path, call: Call, number: int) -> None:
    process, path = start_slow(here, "--data-root", "data of mine")
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "stopping after this step" in err
    again = f"espalier resume {path.relative_to(here)} --data-root 'data of mine'"
    assert f"stopped; to go on from the last checkpoint: {again}" in out
    assert json.loads((path / "state.json").read_text())["status"] == "interrupted"
    steps = len((path / "metrics.jsonl").read_text().splitlines())
    assert len(list((path / "checkpoints").iterdir())) == steps
    assert (path / "report.html").is_file()
    assert not (path / "result.json").exists()


def test_run_with_resume_goes_on_with_the_unfinished_run(here: Path, call: Call) -> None:
    process, path = start_slow(here)
    process.kill()
    process.communicate()
    before = len(list((path / "checkpoints").iterdir()))

    other = call("run", "count", "steps=1001", "pause=0.05", "--resume")
    assert other.returncode == 2
    assert "has another config (steps differ)" in other.stderr

    config = path / "config.yaml"
    steps = before + 2
    config.write_text(config.read_text().replace("steps: 1000", f"steps: {steps}"))
    done = call("run", "count", f"steps={steps}", "pause=0.05", "--resume")
    assert done.returncode == 0, done.stderr
    assert "resuming" in done.stdout
    assert only_run(here) == path
    assert json.loads((path / "result.json").read_text())["total"] == steps

    assert call("run", "count", "steps=1", "--resume").returncode == 0, "nothing unfinished: a new run"
    assert len(list((here / "runs" / "count").iterdir())) == 2


def test_list_shows_recipes_and_jobs(call: Call) -> None:
    done = call("list")
    assert done.returncode == 0
    assert re.search(r"toy/count\s+Counts to three\.", done.stdout)
    assert re.search(r"toy\.count\s+counts slowly", done.stdout)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# One line. And more.\n# Below.\njob: x\n", "One line. And more."),
        ("# A sentence that\n# goes on. And another.\njob: x\n", "A sentence that goes on."),
        ("# Without an end\n#\n# Below.\njob: x\n", "Without an end"),
        ("job: x # not at the top\n", ""),
    ],
)
def test_the_summary_of_a_recipe_is_a_whole_sentence(tmp_path: Path, text: str, expected: str) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    assert _summary(tmp_path / "recipe.yaml") == expected


def test_config_shows_where_each_value_comes_from(call: Call) -> None:
    done = call("config", "count", "seed=2")
    rows = {line.split()[0]: line.split()[1:] for line in done.stdout.splitlines()}
    assert rows["steps"] == ["3", "recipes/toy/count.yaml:3"]
    assert rows["seed"] == ["2", "override", "seed=2"]
    assert rows["pause"] == ["0.0", "default"]


def test_config_prints_the_schema(call: Call) -> None:
    made = json.loads(call("config", "count", "--schema").stdout)
    assert made["properties"]["steps"]["description"] == "How far."


def test_report_is_made_again(call: Call, here: Path) -> None:
    call("run", "count")
    path = only_run(here)
    (path / "report.html").unlink()
    done = call("report", "runs/count")
    assert done.stdout.strip() == f"{path.relative_to(here)}/report.html"
    assert (path / "report.html").is_file()


def test_help_names_every_verb(call: Call) -> None:
    done = call("--help")
    assert done.returncode == 0
    for verb in ("run", "resume", "list", "config", "report", "serve"):
        assert re.search(rf"^  {verb} ", done.stdout, re.MULTILINE)
    assert call("--version").stdout.startswith("espalier ")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {"GOMP_SPINCOUNT": "5000"}),
        ({"GOMP_SPINCOUNT": "7"}, {"GOMP_SPINCOUNT": "7"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE"}),
    ],
)
def test_idle_threads_sleep_soon_unless_the_user_has_chosen(given: dict[str, str], expected: dict[str, str]) -> None:
    share_cores(given)
    assert given == expected


def test_asyncio_is_quiet_about_an_interrupt_only() -> None:
    def record(error: BaseException) -> logging.LogRecord:
        return logging.LogRecord("asyncio", logging.ERROR, "", 0, "never retrieved", (), (type(error), error, None))

    assert not _unless_interrupted(record(KeyboardInterrupt()))
    assert _unless_interrupted(record(ValueError()))
