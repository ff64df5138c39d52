"""Every reader meets mutants of its file: equal records, a refusal in words, or what a reference makes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from oracle import Reader, Result
from readers import READERS

MUTANTS = 60
"""Of each reader here; `benchmarks/mutations.py` makes 1,000."""
HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def server() -> Iterator[subprocess.Popen[str]]:
    """A process of its own to fork children from: this one may have threads."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, str(HERE / "supervisor.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_mutants(reader: Reader, server: subprocess.Popen[str]) -> None:
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps([reader.name, 0, MUTANTS]) + "\n")
    server.stdin.flush()
    found = [Result(**each) for each in json.loads(server.stdout.readline())]
    assert len(found) == MUTANTS
    faults = [f"seed {each.seed}, {each.what}: {each.fault}" for each in found if each.outcome == "fault"]
    assert not faults, "\n".join(faults[:10])


def test_names_are_unlike() -> None:
    assert len({reader.name for reader in READERS}) == len(READERS)
