"""The smoke variants of the studies of this room: each runs, counts what it spends and judges its control."""

from __future__ import annotations

from pathlib import Path

import pytest

from espalier.cli.main import main
from espalier.core.report.blocks import Curves, load
from espalier.core.study.results import read_results

RECIPES = Path(__file__).parents[2] / "src" / "espalier" / "recipes" / "rl"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared, as both studies have the same warm starts."""
    return tmp_path_factory.mktemp("cells")


@pytest.mark.slow
@pytest.mark.parametrize("name", ["algorithms", "skip_zero_variance"])
def test_smoke(name: str, cache: Path, tmp_path: Path) -> None:
    words = ["run", str(RECIPES / f"{name}.yaml"), "--smoke", f"cache={cache}", "--runs-dir", str(tmp_path)]
    assert main(words) == 0
    (path,) = (tmp_path / name).iterdir()
    found = read_results(path / "artefacts" / "results.json")
    assert {row.kind for row in found.rows} == {"claim", "control"}
    assert {row.verdict for row in found.rows} <= {"INDICATION", "MISS"}  # one seed proves nothing
    # 12 steps of 128 rows of 1 to 12 sampled tokens; forwarded: those and at most 31 by the engine, 32 by the learner
    for cell in found.cells:
        assert cell.tokens is not None
        assert 12 * 128 <= cell.tokens <= 12 * 128 * (12 if name == "algorithms" else 64)
        assert cell.cpu_seconds is not None
        assert cell.cpu_seconds > 0
    curves = [block for block in load(path / "report.json") if isinstance(block, Curves)]
    assert len(curves) == 3
    assert len([folder for folder in cache.iterdir() if folder.name.startswith("warm_start") and folder.is_dir()]) == 1
