"""The Python of the documentation works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from espalier.core.data import DataRoot

DOCS = Path(__file__).parents[2] / "docs" / "robots"


@pytest.mark.data
def test_the_python_of_the_start_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = re.findall(r"```python\n(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
    (tmp_path / "forest.pcd").symlink_to(DataRoot.find().file("terrain/forest.pcd"))
    monkeypatch.chdir(tmp_path)
    exec(first, {})
    assert (tmp_path / "forest.tif").stat().st_size > 100_000
    assert len((tmp_path / "route.csv").read_text().splitlines()) > 100
    exec(second, {})
    assert capsys.readouterr().out.startswith("used (25, 25) ['between', 'features'")
