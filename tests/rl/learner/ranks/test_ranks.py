"""Learners of two ranks, each a process that torchrun starts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node"]
KEPT = 1e-6
"""Largest difference of gradients, relative to the largest entry: sums of fp32 in another order."""


def torchrun(*words: str, processes: int = 2, **env: str) -> str:
    """Its output. The command must succeed."""
    ran = subprocess.run(
        [*TORCHRUN, str(processes), *words],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(HERE.parent), *sys.path]), **env},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


def case(name: str, folder: Path) -> dict[str, Any]:
    torchrun(str(HERE / "two_ranks.py"), name, str(folder))
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


@pytest.mark.slow
def test_gradients_of_two_ranks_are_those_of_one_process(tmp_path: Path) -> None:
    found = case("gradients", tmp_path)
    control = found.pop("mean instead of sum")
    assert set(found) == {"tied", "untied", "experts", "muon", "adapters", "critic", "reference", "one piece"}
    for name, gaps in found.items():
        assert gaps["gradients"] <= KEPT, (name, gaps)
        assert gaps["figures"] <= KEPT, (name, gaps)
        assert gaps["probe"] <= 2 * KEPT, (name, gaps)
    assert control["gradients"] == pytest.approx(0.5)  # a mean over ranks instead of a sum is seen


@pytest.mark.slow
def test_checkpoints_are_read_on_another_number_of_ranks(tmp_path: Path) -> None:
    found = case("checkpoints", tmp_path)
    assert set(found) == {"muon", "adapters", "critic", "reference"}
    for name, checks in found.items():
        assert all(checks.values()), (name, checks)


@pytest.mark.slow
def test_bf16_products_keep_fp32_weights_and_gradients(tmp_path: Path) -> None:
    found = case("mixed", tmp_path)
    assert found["kinds"] == ["torch.float32"]
    assert found["gap"] < 0.01  # rows meet in other micro-batches, and sums are rounded otherwise
    assert found["probe"] < 1e-3


RECIPE = """
job: rl.train
name: small
tasks: [{env: multiplication, digits: 1, direct: 1.0}]
model:
  decoder: {hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2}
  tokenizer: {alphabet: "0123456789+*= #"}
warm_start: {steps: 30, rows_per_step: 32}
steps: 3
rollout: {groups_per_step: 4, samples_per_group: 4, max_tokens: 16}
engine: {max_rows: 64, max_len: 32}
evaluation: {every: 2, tasks: 8, browse: 2}
"""


def losses(root: Path) -> list[float]:
    (file,) = root.glob("small/*/metrics.jsonl")
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    return [line["loss/ce"] for line in lines if "loss/ce" in line]


def newest(root: Path) -> int:
    """The number of the newest checkpoint below `root`; 0 for none."""
    numbers = [int(path.name.removeprefix("step_")) for path in root.glob("small/*/checkpoints/step_*")]
    return max(numbers, default=0)


def espalier(folder: Path, *words: str) -> None:
    subprocess.run([sys.executable, "-m", "espalier", *words], cwd=folder, check=True, capture_output=True)


def begun(folder: Path, runs: str) -> subprocess.Popen[str]:
    """The recipe `small.yaml` in the folder, on two ranks."""
    return subprocess.Popen(
        [*TORCHRUN, "2", "-m", "espalier", "run", "small.yaml", "--runs-dir", runs],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.slow
@pytest.mark.parametrize("how", ["Ctrl-C", "SIGTERM"])
def test_a_run_of_two_ranks_is_stopped_and_goes_on_in_one_process(how: str, tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(RECIPE)
    started = begun(tmp_path, "two")
    deadline = time.monotonic() + 120
    while newest(tmp_path / "two") < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    if how == "Ctrl-C":
        os.killpg(started.pid, signal.SIGINT)  # every process of the terminal
    else:
        started.terminate()
    said, _ = started.communicate(timeout=60)
    (run,) = (tmp_path / "two" / "small").iterdir()
    assert json.loads((run / "state.json").read_text())["status"] == "interrupted", said
    assert "2 ranks" in said
    assert "stopped" in said
    espalier(tmp_path, "resume", str(run))
    assert (run / "model" / "model.safetensors").exists()
    espalier(tmp_path, "run", "small.yaml", "--runs-dir", "one")
    together, alone = losses(tmp_path / "two"), losses(tmp_path / "one")
    assert len(together) == len(alone) == 30
    assert together == pytest.approx(alone, rel=1e-3)


FAILS = """
import os
from espalier.core.errors import EspalierError

def on_one(new, **rest):
    if os.environ.get("RANK") == "0":
        raise ValueError("this rank has no more memory, say")
    return -new

def on_all(new, **rest):
    raise EspalierError("no rank can do this")
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["on_one", "on_all"])
def test_an_error_of_a_rank_ends_the_run_with_its_words(where: str, tmp_path: Path) -> None:
    (tmp_path / "fails.py").write_text(FAILS)
    steps = RECIPE.replace("steps: 30", "steps: 2")
    (tmp_path / "small.yaml").write_text(f"{steps}algorithm: {{name: grpo, plugin: {{loss: './fails.py:{where}'}}}}\n")
    started = begun(tmp_path, "runs")
    said, _ = started.communicate(timeout=90)
    assert started.returncode != 0
    assert {"on_one": "this rank has no more memory", "on_all": "no rank can do this"}[where] in said
    (run,) = (tmp_path / "runs" / "small").iterdir()
    assert json.loads((run / "state.json").read_text())["status"] == "failed"


SUPERVISED = """
job: rl.sft
name: small
tasks: [{env: multiplication, digits: 1, direct: 1.0}]
model:
  decoder: {hidden_size: 32, intermediate_size: 64, num_hidden_layers: 2}
  tokenizer: {alphabet: "0123456789+*= #"}
steps: 4
rows_per_step: 16
engine: {max_rows: 64, max_len: 32}
rollout: {max_tokens: 16}
evaluation: {every: 4, tasks: 4, browse: 0}
"""


@pytest.mark.slow
def test_supervised_training_resumed_at_its_end_keeps_its_model(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(SUPERVISED)
    said, _ = begun(tmp_path, "runs").communicate(timeout=90)
    (run,) = (tmp_path / "runs" / "small").iterdir()
    before = (run / "model" / "model.safetensors").read_bytes()
    state = json.loads((run / "state.json").read_text())
    (run / "state.json").write_text(json.dumps({**state, "status": "interrupted"}))
    torchrun("-m", "espalier", "resume", str(run))
    assert (run / "model" / "model.safetensors").read_bytes() == before, said


def test_a_job_of_one_process_refuses_torchrun() -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "espalier", "run", "serving/grid"],
        env={**os.environ, "TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "2", "RANK": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert "runs in one process: start it without torchrun" in ran.stderr
