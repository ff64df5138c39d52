import os
import subprocess
import sys
from pathlib import Path

import pytest

from espalier.core.io import scratch as module
from espalier.core.io.scratch import scratch


def test_folders_of_processes_that_were_killed_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MEMORY", tmp_path)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for name in (f"espalier-{gone.pid}-a", f"espalier-{os.getppid()}-b", "espalier-x-c", "other"):
        (tmp_path / name).mkdir()
    made = scratch()
    assert made.name.startswith(f"espalier-{os.getpid()}-")
    left = {path.name for path in tmp_path.iterdir()} - {made.name}
    assert left == {f"espalier-{os.getppid()}-b", "espalier-x-c", "other"}
