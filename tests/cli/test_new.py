"""What `espalier new` writes runs as it is."""

import json
from pathlib import Path

import pytest

from espalier.cli.commands.new import kinds
from espalier.cli.main import main

SMOKE = [
    "warm_start.steps=2",
    "warm_start.rows_per_step=8",
    "steps=2",
    "rollout.groups_per_step=2",
    "rollout.samples_per_group=2",
    "evaluation.tasks=2",
    "evaluation.browse=1",
    "model.decoder={hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1}",
]


@pytest.mark.parametrize("kind", kinds())
def test_a_template_runs(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    assert main(["new", kind, "mine", "--out", "own"]) == 0
    said = capsys.readouterr().out
    assert "run it: espalier run own/mine/mine.yaml" in said
    assert sorted(path.name for path in (tmp_path / "own" / "mine").iterdir()) == sorted(
        Path(line.removeprefix("wrote ")).name for line in said.splitlines()[:-1]
    )
    assert main(["run", "own/mine/mine.yaml", *SMOKE]) == 0
    (folder,) = tmp_path.glob("runs/mine/*")
    last = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    assert last["step"] == 4
    assert (folder / "report.html").is_file()


def test_nothing_is_overwritten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    assert main(["new", "env", "mine"]) == 2
    assert "mine exists: nothing is overwritten" in capsys.readouterr().err
    assert main(["new", "enw", "mine"]) == 2
    assert "there is no template 'enw'; did you mean 'env'?" in capsys.readouterr().err
    assert main(["new", "env", "../mine"]) == 2
    assert "the name '../mine' must be a lower-case letter" in capsys.readouterr().err
    assert not list((tmp_path / "mine").iterdir())
