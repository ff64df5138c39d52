"""The Python of the documentation runs as it stands there, with fewer epochs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from espalier.cli.main import main

DOCS = Path(__file__).parents[2] / "docs" / "graph"
PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)


@pytest.mark.data
def test_the_python_of_the_start_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trained: dict[str, Any] = {}
    loaded: dict[str, Any] = {}
    training, loading = PYTHON.findall((DOCS / "index.md").read_text())
    exec(training.replace("epochs=300", "epochs=2"), trained)
    exec(loading, loaded)
    assert torch.equal(loaded["z"], trained["z"])


def test_the_python_of_the_page_on_large_graphs(tmp_path: Path) -> None:
    assert main(["graph", "generate", str(tmp_path / "million"), "--nodes=2000", "--edges=8000"]) == 0
    (code,) = PYTHON.findall((DOCS / "scale.md").read_text())
    small = '20000}, settings={"encoder": {"hidden": 16, "heads": 2}}'
    code = code.replace("/tmp/million", str(tmp_path / "million")).replace("20000}", small)
    found: dict[str, object] = {}
    exec(code.replace("20000", "500"), found)
    assert found["encoder"].embed(found["data"]).shape == (2000, 16)
