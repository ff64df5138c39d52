"""The Python and the settings of the documentation work as they stand there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from espalier.core.recipe import yaml12
from espalier.serving.gateway.config import GatewayConfig

DOCS = Path(__file__).parents[2] / "docs" / "serving"


@pytest.mark.data
def test_the_python_of_the_start_page(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (DOCS / "index.md").read_text(), re.DOTALL)
    exec(code, {})
    (now, held) = (float(line.split()[1]) for line in capsys.readouterr().out.splitlines())
    assert held < 0.9 * now


def test_the_settings_of_the_gateway() -> None:
    (text,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "gateway.md").read_text(), re.DOTALL)
    settings = GatewayConfig.of(**yaml12.load(text))
    assert [target.ranks for target in settings.targets] == [8, 8]
    assert settings.prefill.chunk == 2048
