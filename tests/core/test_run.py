import io
import json
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import pytest
from rich.console import Console

from espalier.core.clock import VirtualClock
from espalier.core.errors import EspalierError, RunError
from espalier.core.recipe import yaml12
from espalier.core.run import folder
from espalier.core.run.folder import State, is_locked, newest_unfinished, read_state
from espalier.core.run.run import Run


def create(root: Path, **more: object) -> Run:
    quiet = Console(file=io.StringIO())
    return Run.create(root, job="toy.train", name="toy", seed=5, console=quiet, **more)  # type: ignore[arg-type]


def test_a_new_folder_is_whole(tmp_path: Path) -> None:
    run = create(tmp_path, config={"steps": 3})
    assert run.path.parent == tmp_path / "toy"
    assert yaml12.load((run.path / "config.yaml").read_text()) == {
        "job": "toy.train",
        "name": "toy",
        "seed": 5,
        "trackers": [],
        "steps": 3,
    }
    environment = json.loads((run.path / "environment.json").read_text())
    assert environment["python"].count(".") == 2
    assert environment["versions"]["numpy"]
    assert environment["machine"]["cores"] >= 1
    assert run.checkpoints.is_dir()
    assert (run.resumed, run.seed, run.job) == (False, 5, "toy.train")
    assert read_state(run.path).status == "running"


def test_folders_that_start_in_the_same_second_are_different(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Frozen(datetime):
        @classmethod
        def now(cls, tz: object = None) -> "Frozen":
            return cls(2025, 1, 2, 3, 4, 5)

    monkeypatch.setattr(folder, "datetime", Frozen)
    names = [create(tmp_path).path.name for _ in range(3)]
    assert names == ["2025-01-02_03-04-05", "2025-01-02_03-04-05_2", "2025-01-02_03-04-05_3"]


def test_a_finished_run(tmp_path: Path) -> None:
    clock = VirtualClock()
    with create(tmp_path, clock=clock) as run:
        run.artefact("plots/a.txt").write_text("a")
        clock.advance(12.5)
        run.finish({"accuracy": 0.5, "broken": float("nan")})
    assert json.loads((run.path / "result.json").read_text()) == {
        "accuracy": 0.5,
        "broken": None,
        "seconds": 12.5,
        "seed": 5,
        "job": "toy.train",
    }
    assert (run.path / "artefacts" / "plots" / "a.txt").is_file()
    assert (run.path / "report.html").is_file()
    assert not is_locked(run.path)
    with pytest.raises(RunError, match="has finished: there is nothing to resume"):
        Run.reopen(run.path)
    assert newest_unfinished(tmp_path, "toy") is None


def test_figures_may_not_take_the_names_of_every_result(tmp_path: Path) -> None:
    with create(tmp_path) as run, pytest.raises(ValueError, match="'seconds'"):
        run.finish({"seconds": 1.0})


def test_a_failed_run_keeps_its_error_and_can_be_resumed(tmp_path: Path) -> None:
    run = create(tmp_path)
    with pytest.raises(ZeroDivisionError), run:
        _ = 1 / 0
    assert read_state(run.path).status == "failed"
    assert "ZeroDivisionError" in read_state(run.path).error
    assert newest_unfinished(tmp_path, "toy") == run.path
    with Run.reopen(run.path) as again:
        assert again.resumed
        assert again.seed == 5
        again.finish({})
    assert read_state(run.path).status == "finished"


def test_resuming_adds_up_the_seconds_and_records_the_session(tmp_path: Path) -> None:
    clock = VirtualClock()
    with create(tmp_path, clock=clock) as run:
        clock.advance(10)
        run.stop.request()
    assert read_state(run.path) == State("interrupted", 10.0)
    clock.advance(1000)
    with Run.reopen(run.path, clock=clock) as again:
        clock.advance(5)
        again.finish({})
    assert json.loads((run.path / "result.json").read_text())["seconds"] == 15.0
    assert len(json.loads((run.path / "environment.json").read_text())["resumed"]) == 1


def test_two_processes_cannot_hold_one_run(tmp_path: Path) -> None:
    run = create(tmp_path)
    code = "import sys; from pathlib import Path; from espalier.core.run.run import Run; Run.reopen(Path(sys.argv[1]))"
    other = subprocess.run([sys.executable, "-c", code, str(run.path)], capture_output=True, text=True, timeout=60)
    assert "is in use by another process (process " in other.stderr


def test_a_lock_that_is_no_file(tmp_path: Path) -> None:
    run = create(tmp_path)
    run.__exit__(None, None, None)
    (run.path / ".lock").unlink()
    (run.path / ".lock").mkdir()
    with pytest.raises(RunError, match=r"cannot lock .*\.lock: Is a directory"):
        Run.reopen(run.path)


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not a run folder"):
        Run.reopen(tmp_path)


KILLED = """
import sys, time
from pathlib import Path
from espalier.core.io.files import atomic_dir
from espalier.core.run.run import Run
with Run.create(Path(sys.argv[1]), job="toy.train", name="toy") as run:
    step = 0
    print(run.path, flush=True)
    while True:
        step += 1
        run.metrics.log(step, {"a": step})
        with atomic_dir(run.checkpoints / f"step_{step}") as temp:
            (temp / "state").write_text(str(step))
"""


def test_a_killed_run_is_whole_and_goes_on(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    path = Path(process.stdout.readline().strip())
    deadline = time.monotonic() + 30
    while not (path / "checkpoints" / "step_5").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    process.stdout.close()
    assert not is_locked(path)
    assert newest_unfinished(tmp_path, "toy") == path

    run = Run.reopen(path)
    checkpoints = sorted(run.checkpoints.iterdir(), key=lambda p: int(p.name.removeprefix("step_")))
    assert all((c / "state").read_text() == c.name.removeprefix("step_") for c in checkpoints)
    last = len(checkpoints)
    run.metrics.rewind(last - 1)
    assert [p.step for p in run.metrics.history()["a"]] == list(range(1, last))
    assert run.seconds >= run.metrics.history()["a"][-1].seconds


def test_a_sink_is_opened_for_each_tracker_of_the_recipe(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    with create(tmp_path, trackers=["tensorboard"]) as run:
        run.metrics.log(1, {"a": 1.0})
        run.finish({})
    assert list((run.path / "tensorboard").iterdir())


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("state.json", "{}", r"state\.json: status: Field required"),
        ("state.json", '{"status": "asleep"}', r"state\.json: status: "),
        ("state.json", '{"status": "failed", "seconds": "x"}', r"state\.json: seconds: "),
        ("state.json", '{"status": "failed"', r"state\.json: not JSON"),
        ("environment.json", "[1]", r"environment\.json: this must be a JSON object, not list"),
        ("environment.json", "{\xff}", r"environment\.json:1: byte 0xff"),
        ("config.yaml", "a: 1\nb: ]\n", r"config\.yaml:2: this is not YAML"),
        ("config.yaml", "seed: 1\nseed: 2\n", r"config\.yaml:2: the key 'seed' appears twice"),
        ("metrics.jsonl", "{}\n", r"metrics\.jsonl:1: "),
    ],
)
def test_a_broken_file_of_a_run_is_named(tmp_path: Path, name: str, content: str, says: str) -> None:
    with Run.create(tmp_path, job="toy.job", name="toy") as run:
        pass
    (run.path / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(EspalierError, match=says):
        Run.reopen(run.path)


def test_a_config_that_was_cut_short_is_not_resumed_with_defaults(tmp_path: Path) -> None:
    with Run.create(tmp_path, job="toy", name="cut", config={"steps": 4, "momentum": 0.95}) as run:
        run.metrics.log(1, {"loss": 1.0})
    file = run.path / "config.yaml"
    whole = file.read_text()
    for end in (whole.index("momentum"), len(whole) - len("5\n...\n"), len(whole) - len("...\n")):
        file.write_text(whole[:end])
        with pytest.raises(RunError, match=r"config\.yaml is cut short"):
            Run.reopen(run.path)
    file.write_text(whole)
    Run.reopen(run.path)
