"""The files that the documentation shows are run as they stand there."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from espalier.cli.commands.new import contents
from espalier.cli.main import main

DOCS = Path(__file__).parents[2] / "docs" / "rl"
BLOCK = re.compile(r'```(?:python|yaml) title="(?P<name>[^"]+)"\n(?P<text>.*?)```', re.DOTALL)


def files(page: str) -> dict[str, str]:
    return {found["name"]: found["text"] for found in BLOCK.finditer((DOCS / page).read_text())}


def test_the_environment_and_the_reward_of_ones_own_train(tmp_path: Path):
    shown = files("environments.md") | files("rewards.md")
    for name, text in shown.items():
        (tmp_path / name).write_text(text)
    reward = "rewards=[{kind: env}, {kind: plugin, name: brevity, function: ./brevity.py:brevity, options: {free: 1}}]"
    command = [sys.executable, "-m", "espalier", "run", "parity.yaml", reward]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.glob("runs/parity/*")
    logged = (folder / "metrics.jsonl").read_text().splitlines()
    assert any("reward/component/brevity" in json.loads(line) for line in logged)
    assert (folder / "report.html").is_file()


def test_the_environment_shown_is_the_one_that_new_writes():
    shown, written = files("environments.md"), contents("env", "boxes")
    assert {name: shown[name] for name in written} == dict(written)
    assert len(shown["quiz.yaml"].splitlines()) <= 12
    lines = [line for line in without_docstrings(shown["boxes.py"]).splitlines() if line.strip()]
    assert len(lines) <= 15
    assert len(shown["boxes.yaml"].splitlines()) <= 1 + 8


def without_docstrings(text: str) -> str:
    return re.sub(r'^ *""".*?"""\n', "", text, flags=re.DOTALL | re.MULTILINE)


def test_the_recipe_of_ones_own_table_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    rows = [f"Which is even?,{i},{i + 1},{'AB'[i % 2]}" for i in range(60)]
    (tmp_path / "quiz.csv").write_text("\n".join(["question,A,B,answer", *rows]) + "\n")
    (tmp_path / "quiz.yaml").write_text(files("environments.md")["quiz.yaml"])
    monkeypatch.chdir(tmp_path)
    small = ["model.decoder={hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1}", "evaluation.browse=1"]
    small += ["steps=2", "warm_start.steps=2", "warm_start.rows_per_step=8", "rollout.samples_per_group=2"]
    assert main(["run", "quiz.yaml", *small, "evaluation.tasks=2"]) == 0
    (logged,) = tmp_path.glob("runs/quiz/*/metrics.jsonl")
    assert "reward/component/env" in logged.read_text()


def test_the_algorithm_and_the_group_reward_of_ones_own_train(tmp_path: Path):
    for name, text in (files("algorithms.md") | files("rewards.md")).items():
        (tmp_path / name).write_text(text)
    settings = [
        "algorithm.plugin={advantage: ./my_algorithm.py:above_median, loss: ./my_algorithm.py:soft_clip}",
        "algorithm.plugin.options={tau: 2.0}",
        "rewards=[{kind: env}, {kind: plugin, name: short, function: ./shortest.py:shortest, scope: group}, "
        "{kind: plugin, name: brevity, function: ./brevity.py:brevity, options: {free: 1}}]",
        *("steps=2", "warm_start.steps=3", "rollout.groups_per_step=4", "evaluation.tasks=8", "evaluation.browse=2"),
    ]
    command = [sys.executable, "-m", "espalier", "run", "rl/quickstart", *settings]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.glob("runs/quickstart/*")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert any("reward/component/short" in line for line in lines)
    assert any("loss/rl" in line for line in lines)


@pytest.mark.parametrize(
    ("script", "page"),
    [
        ("show_tasks.py", "environments.md"),
        ("show_tables.py", "environments.md"),
        ("show_rewards.py", "rewards.md"),
        ("show_answers.py", "rewards.md"),
    ],
)
def test_output_shown_is_what_the_command_prints(script: str, page: str):
    shown = (DOCS / page).read_text().partition(f"$ python docs/rl/{script}\n")[2].partition("```")[0]
    done = subprocess.run([sys.executable, DOCS / script], capture_output=True, text=True, check=True)
    assert shown == done.stdout
