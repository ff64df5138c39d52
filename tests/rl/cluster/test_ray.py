"""Runs on Ray, each in a network namespace of its own, so that no socket is seen from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
pytestmark = [pytest.mark.ray, pytest.mark.slow]


def case(name: str, folder: Path) -> dict[str, Any]:
    path = os.pathsep.join([str(HERE), str(HERE.parent), str(HERE.parent / "learner"), *sys.path])
    script = f"ip link set lo up; exec {sys.executable} {HERE / 'ray_runs.py'} {name} {folder}"
    ran = subprocess.run(
        ["unshare", "-n", "sh", "-c", script],
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    found: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return found


def test_a_run_on_ray_is_the_run_of_one_process(tmp_path: Path) -> None:
    found = case("same", tmp_path)
    ours, theirs = found["ray"]["trace"], found["local"]["trace"]
    assert [entry[:2] for entry in ours] == [entry[:2] for entry in theirs]
    for (step, name, here), (_, _, there) in zip(ours, theirs, strict=True):
        assert here == pytest.approx(there, rel=1e-4, abs=1e-6), (step, name)
    assert found["ray"]["figures"]["accuracy_after"] == found["local"]["figures"]["accuracy_after"]
    assert found["elsewhere"]  # the environment ran in a process of its own
    assert found["seen"][0] >= 5  # Ray's processes and the actors are all in the namespace, which has only loopback
    assert found["left"] == 0
    assert not found["running"]
    assert (Path(found["ray"]["path"]) / "model" / "model.safetensors").exists()


def test_a_killed_engine_comes_back(tmp_path: Path) -> None:
    found = case("engine_killed", tmp_path)
    assert found["killed"] == 1
    assert found["lost"] == 1
    assert found["steps"] == 8 + 8
    assert found["left"] == 0


def test_a_killed_rank_ends_the_run_which_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    found = case("learner_killed", tmp_path)
    assert "a rank of the learner is lost" in found["error"]
    assert "`espalier resume` goes on from the last checkpoint" in found["error"]
    assert found["seconds"] < 60
    assert found["left"] == 0
    assert 0.0 <= found["figures"]["accuracy_after"] <= 1.0


def test_a_plan_without_room_fails_in_seconds(tmp_path: Path) -> None:
    found = case("no_room", tmp_path)
    assert "no machine is large enough for learner 0 (99 cores)" in found["never"]["error"]
    assert found["never"]["seconds"] < 10
    assert "within 1.5 s. Free now: 0 cores, 0 GPUs. Wait for other work" in found["late"]["error"]
    assert found["late"]["seconds"] < 10


def test_a_killed_environment_fails_its_calls_and_comes_back(tmp_path: Path) -> None:
    found = case("environment_killed", tmp_path)
    assert found["lost"] == ["EndedError"]
    assert found["again"] == 1  # all are answered by one new process
    assert found["queued"] == ["0.4"] * 6  # the wait for the worker does not count
    assert "it took longer than 1 s" in found["late"]
    assert found["left"] == 0


def test_a_running_cluster_in_another_folder(tmp_path: Path) -> None:
    found = case("elsewhere", tmp_path)
    assert "state.json" in found["kept"]
    assert "policy" in found["kept"]
    assert found["there"] == []
    assert found["running"]  # it was there before, and is left alone
