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
LOOPBACK = {"0100007F", "00000000000000000000000001000000", "0000000000000000FFFF00000100007F"}
"""127.0.0.1, ::1 and the first as an IPv6 address, in the kernel's notation."""
ANY = {"00000000", "00000000000000000000000000000000"}
"""All addresses of the namespace, which has only those of the loopback device."""

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
    assert found["listening"]
    assert set(found["listening"]) <= LOOPBACK | ANY
    assert found["left"] == []
    assert not found["running"]
    assert (Path(found["ray"]["path"]) / "model" / "model.safetensors").exists()


def test_a_killed_engine_comes_back(tmp_path: Path) -> None:
    found = case("engine_killed", tmp_path)
    assert found["killed"] == 1
    assert found["lost"] == 1
    assert found["steps"] == 8 + 8
    assert found["left"] == []


def test_a_killed_rank_ends_the_run_which_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    found = case("learner_killed", tmp_path)
    assert "a rank of the learner is lost" in found["error"]
    assert "`espalier resume` goes on from the last checkpoint" in found["error"]
    assert found["seconds"] < 60
    assert found["left"] == []
    assert 0.0 <= found["figures"]["accuracy_after"] <= 1.0


def test_a_plan_without_room_fails_in_seconds(tmp_path: Path) -> None:
    found = case("no_room", tmp_path)
    assert "no machine has room for learner 0 (99 cores)" in found["never"]["error"]
    assert found["never"]["seconds"] < 10
    assert "was not free within 1.5 s: other work holds it" in found["late"]["error"]
    assert found["late"]["seconds"] < 10
