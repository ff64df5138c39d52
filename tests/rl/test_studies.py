"""The smoke variants of the studies of this room: each runs, counts what it spends and judges its control."""

from __future__ import annotations

from pathlib import Path

import pytest

from espalier.cli.jobs import HOUSE, find_job
from espalier.cli.main import main
from espalier.core.recipe.resolve import load_recipe
from espalier.core.report.blocks import Curves, load
from espalier.core.study.cells import cells_of
from espalier.core.study.config import StudyConfig
from espalier.core.study.results import read_results
from espalier.rl.config import TrainConfig

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


def test_the_tutorials_study_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the page: the arms are the plain algorithm, the user's own, and the control."""
    page = (Path(__file__).parents[2] / "docs" / "tutorials" / "algorithm.md").read_text()
    text = page.partition('```yaml title="mine_study.yaml"\n')[2].partition("```")[0]
    assert text.startswith("job: core.study")
    monkeypatch.chdir(tmp_path)
    assert main(["new", "algorithm", "mine"]) == 0
    Path("mine_study.yaml").write_text(text)
    config = load_recipe([Path("mine_study.yaml")], [], find_job).config
    assert isinstance(config, StudyConfig)
    grpo, mine, shuffled = (cell.recipe.config for cell in cells_of(config, 0, HOUSE)[:3])
    assert isinstance(grpo, TrainConfig)
    assert isinstance(mine, TrainConfig)
    assert isinstance(shuffled, TrainConfig)
    assert (grpo.algorithm.plugin, mine.algorithm.plugin is None) == (None, False)
    assert (mine.shuffle_rewards, shuffled.shuffle_rewards) == (False, True)
