"""What recipes read is told before a run begins."""

from pathlib import Path

import pytest

from espalier.cli.jobs import find_job
from espalier.cli.main import main
from espalier.cli.places import SHIPPED, all_recipes
from espalier.core.data import DataRoot
from espalier.core.errors import DataError
from espalier.core.fetch.catalogue import SMOLLM2, Item
from espalier.core.fetch.reads import Read, check_reads
from espalier.core.fetch.sources import SOURCES, source_of
from espalier.core.recipe.resolve import load_recipe


def reads(name: str, *overrides: str) -> list[Read | Item]:
    recipe = load_recipe([all_recipes()[name]], list(overrides), find_job)
    return list(recipe.job.reads(recipe.config))


def places(name: str, *overrides: str) -> list[str]:
    return [read.place for read in reads(name, *overrides) if isinstance(read, Read)]


RECIPES = sorted(path.relative_to(SHIPPED).with_suffix("").as_posix() for path in SHIPPED.rglob("*.yaml"))
READING = [name for name in RECIPES if places(name)]


def test_what_each_kind_of_recipe_reads() -> None:
    assert places("rl/gsm8k") == ["text/gsm8k/train.jsonl"]
    assert places("graph/cora") == ["graph/Cora"]
    assert places("graph/table_links") == ["graph/Cora", "graph/CiteSeer"]
    assert places("graph/align")[-2:] == ["kg/codex-s", "kg/codex"]
    assert places("robots/drive_cloud") == ["terrain/forest.pcd"]
    assert places("serving/decode") == ["traces/azure_conv.csv", "traces/mooncake_synthetic.jsonl"]
    assert reads("rl/quickstart", "model.pretrained=smollm2-135m") == [SMOLLM2]
    table = "tasks=[{env: table, path: owner/name}]"
    assert reads("rl/quickstart", table) == []  # of the hub
    assert places("rl/skip_zero_variance", "base={job: rl.train}", table.replace("tasks", "base.tasks")) == []
    assert places("rl/skip_zero_variance", "base.tasks=[{env: table, path: mine.csv}]") == ["mine.csv"]


@pytest.mark.parametrize("name", ["rl/quickstart", "graph/quickstart", "serving/quickstart", "robots/drive"])
def test_quick_starts_read_nothing(name: str) -> None:
    assert reads(name) == []


@pytest.mark.parametrize("root", [[], ["--data-root", "nowhere"]], ids=["no root", "an empty one"])
@pytest.mark.parametrize("name", READING)
def test_a_run_without_its_data_leaves_nothing(
    name: str, root: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(DataRoot, "find", lambda option=None: DataRoot(option))
    assert main(["run", name, *root]) == 2
    out = capsys.readouterr()
    (line,) = out.err.splitlines()
    assert out.out == ""
    assert all(place in line for place in places(name))
    assert ("the data root nowhere lacks" if root else "no data root is known") in line
    assert "github.com/" in line
    assert list(tmp_path.iterdir()) == []


def test_an_evaluation_without_its_data_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(DataRoot, "find", lambda option=None: DataRoot(option))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    assert main(["eval", "model", "rl/gsm8k"]) == 2
    assert "no data root is known for text/gsm8k/train.jsonl" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()


def test_a_file_counts_wherever_the_job_looks_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("beside", "root/traces"):
        (tmp_path / folder).mkdir(parents=True)
    read, root = Read("a.csv", "traces"), DataRoot(tmp_path / "root")
    with pytest.raises(DataError, match=r"mine reads a\.csv, and there is none: looked for .*root/traces/a\.csv"):
        check_reads("mine", [read], root)
    for place in ("a.csv", "beside/a.csv", "root/traces/a.csv"):
        (tmp_path / place).touch()
        assert read.found(DataRoot(root.path, (tmp_path / "beside",))) == tmp_path / place
        check_reads("mine", [read], DataRoot(root.path, (tmp_path / "beside",)))
        (tmp_path / place).unlink()


def test_a_download_is_left_to_the_job_where_there_is_a_root(tmp_path: Path) -> None:
    read = Read("PubMed", "graph", through="pytest")
    check_reads("mine", [read], DataRoot(tmp_path))
    for root in (DataRoot(None), DataRoot(tmp_path / "nowhere")):
        with pytest.raises(DataError, match="pytest downloads what an existing folder DIR lacks"):
            check_reads("mine", [read], root)


def test_every_place_has_a_source() -> None:
    assert all(source_of(place) for name in RECIPES for place in places(name))
    assert source_of("text/gsm8k/train.jsonl") is SOURCES["text/gsm8k"]
    assert source_of("text/other.jsonl") is None


def test_the_list_shows_what_is_there_and_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "root" / "terrain").mkdir(parents=True)
    (tmp_path / "root" / "terrain" / "forest.pcd").touch()
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "bad.yaml").write_text("job: rl.nothing\n")
    assert main(["data", "list", "--data-root", "root"]) == 0
    blocks = capsys.readouterr().out.split("\n\n")
    by_name = {block.partition("\n")[0]: block for block in blocks}
    assert "there: root/terrain/forest.pcd" in by_name["terrain/forest.pcd"]
    assert "robots/drive_cloud, robots/terrain_table" in by_name["terrain/forest.pcd"]
    assert by_name["terrain/desert.pcd"].endswith("state    missing")
    assert "torch_geometric downloads it" in by_name["graph/Cora"]
    assert "openai/grade-school-math, MIT" in by_name["text/gsm8k/train.jsonl"]
    assert blocks[-1].startswith("recipe bad cannot be read: ")
