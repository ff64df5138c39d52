"""`espalier eval` and `espalier chat` over a model folder."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from espalier.cli.commands.evaluating import KINDS, described
from espalier.cli.main import main
from espalier.cli.places import find_model, find_run
from espalier.core.errors import ConfigError, RunError
from espalier.core.run.run import Run
from espalier.lm.build import build
from espalier.lm.config import ModelConfig

SHAPE = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "tiny"
    build(ModelConfig.of(decoder=SHAPE), seed=0).save(folder)
    return folder


def evaluate(model: Path, root: Path, *words: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """`result.json` and the samples."""
    begin = ["eval", str(model), "brackets", "--limit", "3", "--max-tokens", "8"]
    assert main([*begin, *words, "--runs-dir", str(root)]) == 0
    (run,) = (root / "eval").iterdir()
    lines = (run / "artefacts/samples.jsonl").read_text().splitlines()
    return json.loads((run / "result.json").read_text()), [json.loads(line) for line in lines]


def test_figures_are_those_of_the_samples(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    reward = "rewards=[{kind: regex, pattern: '[a-m]'}]"  # about half of random letters
    result, samples = evaluate(model, tmp_path, "--n", "4", "--k", "1,3", reward, "engine.max_rows=8")
    assert len(samples) == 3 * 4
    right = [sample["correct"] for sample in samples]
    assert result["accuracy"] == pytest.approx(sum(right) / 12)
    assert result["pass@1"] == pytest.approx(result["accuracy"])
    assert 0 < sum(right) < 12, "a test of all or nothing would test little"
    assert {"pass@2", "pass@4"}.isdisjoint(result)
    assert {sample["messages"][0]["role"] for sample in samples} == {"user"}
    said = capsys.readouterr().out
    assert "95% interval  pass@1  pass@3  tokens" in said
    assert "samples: " in said


def test_greedy_answers_are_the_same_every_time(model: Path, tmp_path: Path) -> None:
    runs = [evaluate(model, tmp_path / name, "--temperature", "0") for name in ("one", "two")]
    assert runs[0][1] == runs[1][1]
    assert len(runs[0][1]) == 3, "one attempt at each task unless --n says otherwise"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["brackets", "--n", "2", "--temperature", "0"], "at temperature 0 all 2 attempts at a task are the same"),
        (["brackets", "--n", "2", "--k", "3"], "pass@3 needs 3 attempts at each task, there are 2"),
        (["brackets", "--k", "1,x"], "write whole numbers above 0 with commas between"),
        (["brackets", "lenght=2"], "brackets has no setting 'lenght'; did you mean 'length'"),
        (["brackets", "more"], "'more' is not a setting"),
        (["brakcets"], "no kind of tasks is called so; did you mean 'brackets'"),
        (["serving/decode"], "the job serving.decode has no tasks of a language model"),
        (["brackets", "--limit", "0"], "--limit is 1 or more, not 0"),
        (["brackets", "--temperature", "-1"], "--temperature is 0 (greedy) or more, not -1"),
    ],
)
def test_mistakes_are_told_before_a_run_folder_is_made(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert main(["eval", str(model), *words, "--runs-dir", str(tmp_path)]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "eval").exists()


def test_a_recipes_tasks_rewards_and_limits_are_taken_and_its_model_is_not() -> None:
    sections, seed = described("rl/calculator", ["tasks.0.weight=2.0", "seed=3"])
    assert "model" not in sections
    assert (sections["tasks"][0].env, sections["tasks"][0].weight, seed) == ("calculator", 2.0, 3)
    assert sections["rollout"].max_turns > 1
    assert described("calculator", [])[0]["rollout"].max_tokens == 256, "a kind of tasks goes before a recipe's name"


def test_every_kind_of_tasks_is_known() -> None:
    assert {"multiplication", "table", "plugin", "reasoning_gym"} <= KINDS.keys()


def test_what_a_model_may_be(model: Path, tmp_path: Path) -> None:
    assert find_model(str(model)) == {"pretrained": str(model)}
    with Run.create(tmp_path, job="rl.train", name="r") as run:
        pass
    with pytest.raises(RunError, match="holds no model: training saves it at its end"):
        find_model(str(tmp_path / "r"))
    build(ModelConfig.of(decoder=SHAPE), seed=0).save(run.path / "model")
    assert find_model(str(tmp_path / "r")) == find_model(str(run.path)) == {"pretrained": str(run.path / "model")}
    newer = tmp_path / "r" / "9999-01-01_00-00-00"
    newer.mkdir()
    (newer / "config.yaml").write_text("{}")
    assert find_model(str(tmp_path / "r")) == {"pretrained": str(run.path / "model")}, "the newest that has a model"
    with pytest.raises(RunError, match=f"there is no run 'rr' in {tmp_path}; did you mean 'r'"):
        find_model(str(tmp_path / "rr"))
    with pytest.raises(ConfigError, match="no run folder, and no model folder"):
        find_model(str(tmp_path))


def test_a_run_is_found_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for time in ("2026-01-01_00-00-00", "2026-01-02_00-00-00"):
        (tmp_path / "runs" / "mine" / time).mkdir(parents=True)
        (tmp_path / "runs" / "mine" / time / "config.yaml").write_text("{}")
    newest = Path("runs/mine/2026-01-02_00-00-00")
    assert find_run("mine") == find_run("runs/mine") == find_run(str(newest)) == newest
    with pytest.raises(RunError, match="there is no run 'mien' in runs; did you mean 'mine'"):
        find_run("mien")
    model = newest / "model"
    model.mkdir()
    (model / "config.json").write_text("{}")
    assert find_model("mine") == find_model("runs/mine") == {"pretrained": str(model)}
    monkeypatch.chdir(tmp_path / "runs")
    for word in ("smollm2-135m", "x.gguf", "owner/name", "x" * 300):
        assert find_model(word) == {"pretrained": word}, "folders of runs here do not matter"


def chat(monkeypatch: pytest.MonkeyPatch, model: Path, text: str, *words: str) -> int:
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    return main(["chat", str(model), "--max-len", "64", "--max-tokens", "6", "--temperature", "0", *words])


def test_a_piped_conversation_is_answered_line_by_line(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert chat(monkeypatch, model, "hello\n\n/reset\nhello\n/quit\nnot read\n") == 0
    first, forgotten, second = capsys.readouterr().out.splitlines()
    assert forgotten == "(forgotten)"
    assert first == second, "after /reset a greedy model says the same again"


def test_commands_are_told_and_mistakes_do_not_end_the_conversation(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "/sytem x\n/system be brief\n/system\n/help\n" + "long " * 30 + "\n日\nhello\n"
    assert chat(monkeypatch, model, text) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [
        "(there is no /sytem; did you mean '/system'?)",
        "(the system message is set)",
        "(there is no system message)",
    ]
    assert lines[3].startswith("/system TEXT")
    assert "/reset starts a new conversation" in lines[7]
    assert "not in the tokenizer's alphabet" in lines[8]
    assert len(lines) == 10


@pytest.mark.parametrize("words", [["--max-tokens", "0"], ["--temperature", "-1"]])
def test_settings_out_of_range_are_refused(model: Path, monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    assert chat(monkeypatch, model, "", *words) == 2
