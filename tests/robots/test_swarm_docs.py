"""The Python of the documentation works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

PAGE = Path(__file__).parents[2] / "docs" / "robots" / "swarm.md"


def test_the_python_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flight, vehicles = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(flight, {})
    assert 0.0 < float(capsys.readouterr().out) < 1.0
    assert (tmp_path / "flight.gif").read_bytes()[:6] == b"GIF89a"
    exec(vehicles, {})
    assert np.fromstring(capsys.readouterr().out.strip("[]\n"), sep=" ") == pytest.approx([8.0, 0.0, 1.5], abs=0.01)
