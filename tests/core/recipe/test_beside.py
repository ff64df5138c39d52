"""Files that a recipe names lie beside it, wherever the command is given."""

import sys
from pathlib import Path

import pytest

from espalier.core.config import Config
from espalier.core.errors import ConfigError
from espalier.core.job import Job
from espalier.core.plugins import imported
from espalier.core.recipe.beside import PluginName, RecipePath
from espalier.core.recipe.resolve import load_recipe


class Names(Config):
    path: RecipePath = Path("rows.csv")
    more: tuple[PluginName, ...] = ()


JOB = Job("toy.names", "", Names, lambda: lambda config, run: {})


def names(*files: Path) -> Names:
    config = load_recipe(files, [], lambda name: JOB).config
    assert isinstance(config, Names)
    return config


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr("sys.path", [*sys.path])
    recipe = "job: toy.names\npath: rows.csv\nmore: [./mine.py:f, 'mine:f', package.mine:f, /abs.py:f]\n"
    (tmp_path / "there" / "recipe.yaml").write_text(recipe)
    return tmp_path


def test_what_lies_beside_the_recipe_becomes_absolute(folder: Path):
    there = folder / "there"
    before = names(there / "recipe.yaml")
    assert before.path == Path("rows.csv"), "it may lie in the working directory or below the data root"
    assert before.more[:2] == ("./mine.py:f", "mine:f")
    for name in ("rows.csv", "mine.py"):
        (there / name).touch()
    after = names(Path("../there/recipe.yaml"))
    assert after.path.resolve() == there / "rows.csv"
    assert after.path.is_absolute()
    assert [Path(name.removesuffix(":f")).resolve() for name in after.more[:2]] == [there / "mine.py"] * 2
    assert after.more[2:] == ("package.mine:f", "/abs.py:f")


def test_the_last_recipe_goes_first(folder: Path):
    for name in ("there", "here"):
        (folder / name / "rows.csv").touch()
    (folder / "here" / "over.yaml").write_text("more: []\n")
    assert names(folder / "there" / "recipe.yaml", folder / "here" / "over.yaml").path == folder / "here" / "rows.csv"


def test_code_is_imported_from_a_file_with_its_neighbours(folder: Path):
    (folder / "there" / "mine.py").write_text("from neighbour import g\ndef f(): return g()\n")
    (folder / "there" / "neighbour.py").write_text("def g(): return 3\n")
    (folder / "here" / "mine.py").write_text("def f(): return 4\n")
    assert imported(f"{folder}/there/mine.py:f")() == 3
    assert imported("./mine.py:f")() == 4, "two files of one name are two modules"
    assert imported("./mine.py:f") is imported("mine.py:f")
    with pytest.raises(
        ConfigError, match=r"there is no \./other\.py beside the recipe or in the working directory .*here"
    ):
        imported("./other.py:f")
    with pytest.raises(ConfigError, match=r"mine\.py has no g; there is f$"):
        imported("./mine.py:g")
    (folder / "here" / "broken.py").write_text("x = 1\nx.y\n")
    with pytest.raises(ConfigError, match=r"importing it raised AttributeError: .*\(.*broken\.py:2\)"):
        imported("./broken.py:f")
