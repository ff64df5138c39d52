import asyncio
import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from espalier.core.data import DataRoot
from espalier.core.errors import ConfigError, DataError
from espalier.core.messages import Message
from espalier.envs.adapters.jsonl import Jsonl, JsonlConfig
from espalier.envs.adapters.plugin import PluginConfig, PluginTasks
from espalier.envs.adapters.reasoning_gym import ReasoningGym, ReasoningGymConfig
from espalier.envs.api import Task, TaskSet

ROWS = [
    {"question": f"What is {i}+{i}?", "answer": f"{i}+{i}=<<{i}+{i}={2 * i}>>{2 * i}.\n#### {2 * i}"} for i in range(60)
]


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows) + "\n\n")
    return path


def judge(tasks: TaskSet, task: Task, text: str) -> float | None:
    async def go() -> float | None:
        env = tasks.env(task)
        await env.reset(task)
        return (await env.step(Message.assistant(text))).reward

    return asyncio.run(go())


def jsonl(path: Path, **settings: Any) -> Jsonl:
    return Jsonl(JsonlConfig(path=path, **settings), 0, DataRoot(None))


def test_questions_references_and_worked_solutions(tmp_path: Path):
    tasks = jsonl(write(tmp_path / "sums.jsonl", ROWS), prompt="Q: {question} A:")
    task = tasks.task("train", 0)
    number = int(task.data["question"].removeprefix("What is ").split("+")[0])
    assert (task.env, task.answer) == ("sums", str(2 * number))
    question, solution = tasks.demonstrate(task, Random(0))
    assert question.content == f"Q: What is {number}+{number}? A:"
    assert solution.content == f"{number}+{number}={2 * number}.\n#### {2 * number}", "annotations are gone"
    assert judge(tasks, task, solution.content) is None, "a rubric judges"


def test_every_question_comes_once_an_epoch(tmp_path: Path):
    tasks = jsonl(write(tmp_path / "sums.jsonl", ROWS), heldout=0.3)
    sizes = {split: len(tasks._tasks[split]) for split in ("train", "heldout")}
    assert sum(sizes.values()) == 60
    assert 5 < sizes["heldout"] < 30
    n = sizes["train"]
    first, second = ([tasks.task("train", e * n + i).key for i in range(n)] for e in (0, 1))
    assert sorted(first) == sorted(second)
    assert len(set(first)) == n
    assert first != second
    assert {tasks.task("heldout", i).key for i in range(99)}.isdisjoint(first)


def test_a_file_of_held_out_questions_wins_over_training(tmp_path: Path):
    train, test = write(tmp_path / "train.jsonl", ROWS), write(tmp_path / "test.jsonl", ROWS[:10])
    tasks = jsonl(train, heldout_path=test)
    assert (len(tasks._tasks["train"]), len(tasks._tasks["heldout"])) == (50, 10)
    assert tasks.task("heldout", 0).split == "heldout"


def test_other_fields_and_whole_answers(tmp_path: Path):
    path = write(tmp_path / "capitals.jsonl", [{"q": f"{i}?", "a": f" Town {i} ", "id": i} for i in range(40)])
    task = jsonl(path, question="q", answer="a", reference="whole").task("train", 0)
    assert task.answer == f"Town {task.data['question'][:-1]}"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{not json", r"bad\.jsonl:2: not JSON"),
        ("[1, 2]", r"bad\.jsonl:2: expected a JSON object, found list"),
        ('{"question": "x"}', r"bad\.jsonl:2: the field 'answer' must be text; the line has question"),
        ('{"question": 3, "answer": "#### 1"}', r"bad\.jsonl:2: the field 'question' must be text"),
        ('{"question": "x", "answer": "one"}', r"bad\.jsonl:2: the answer has no #### before its number"),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str):
    path = tmp_path / "bad.jsonl"
    path.write_text(f"{json.dumps(ROWS[0])}\n{line}\n")
    with pytest.raises(DataError, match=message):
        jsonl(path)


def test_missing_files_and_empty_splits(tmp_path: Path):
    with pytest.raises(DataError, match="ESPALIER_DATA"):
        jsonl(Path("nowhere.jsonl"))
    with pytest.raises(
        ConfigError,
        match=r"one\.jsonl: none of its 1 .* left for heldout; .* set heldout, or",
    ):
        jsonl(write(tmp_path / "one.jsonl", ROWS[:1]))


@pytest.mark.data
def test_gsm8k_as_published():
    tasks = Jsonl(JsonlConfig(path=Path("text/gsm8k/train.jsonl")), 0, DataRoot.find())
    count = sum(len(split) for split in tasks._tasks.values())
    assert count == 7473
    for split in tasks._tasks.values():
        assert all(task.answer and task.answer.lstrip("-")[0].isdigit() for task in split)


@pytest.mark.parametrize("name", ["chain_sum", "spell_backward", "number_sorting", "basic_arithmetic", "word_sorting"])
def test_reasoning_gym_references_are_right_by_its_own_scorer(name: str):
    tasks = ReasoningGym(ReasoningGymConfig(task=name), 0)
    for index in range(40):
        task = tasks.task("train", index)
        answer = tasks.demonstrate(task, Random(0))[-1].content
        assert judge(tasks, task, f" {answer}\n") == 1.0
        assert (judge(tasks, task, "certainly wrong") or 0.0) < 1.0
    train = {tasks.task("train", i).key for i in range(200)}
    assert train.isdisjoint(tasks.task("heldout", i).key for i in range(200))
    assert tasks.task("train", 3) == ReasoningGym(ReasoningGymConfig(task=name), 0).task("train", 3)


def test_reasoning_gym_with_options_and_an_answer_form():
    config = ReasoningGymConfig(
        task="chain_sum",
        options={"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1},
        answer_pattern=r"(?s).*<answer>(.*)</answer>",
        answer_template="<answer>{answer}</answer>",
    )
    tasks = ReasoningGym(config, 0)
    task = tasks.task("train", 0)
    assert judge(tasks, task, f"hm <answer>{task.answer}</answer>") == 1.0
    assert judge(tasks, task, task.answer) == 0.0
    assert judge(tasks, task, tasks.demonstrate(task, Random(0))[-1].content) == 1.0


def test_reasoning_gym_mistakes():
    with pytest.raises(ConfigError, match="no task 'chain_sums'; did you mean 'chain_sum'"):
        ReasoningGym(ReasoningGymConfig(task="chain_sums"), 0)
    with pytest.raises(ConfigError, match="options of the reasoning-gym task chain_sum"):
        ReasoningGym(ReasoningGymConfig(task="chain_sum", options={"min_trems": 2}), 0)
    with pytest.raises(ValueError, match="must have one group"):
        ReasoningGymConfig(task="chain_sum", answer_pattern="(a)(b)")
    with pytest.raises(ValueError, match="is no regular expression"):
        ReasoningGymConfig(task="chain_sum", answer_pattern="(")


MODULE = """
from espalier.envs.api import Task

class Sums:
    name = "sums"
    def __init__(self, seed, largest=9): self.seed, self.largest = seed, largest
    def task(self, split, index): return Task("sums", "k", {"seed": self.seed, "largest": self.largest}, split)
    def env(self, task): ...
    def tools(self, task): return ()
    def demonstrate(self, task, rng): ...

class Half:
    name = "half"
    def __init__(self, seed): ...

number = 3
"""


def test_a_plugin_is_found_in_the_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "my_tasks.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*__import__("sys").path])
    tasks = PluginTasks(PluginConfig(factory="my_tasks:Sums", options={"largest": 5}), seed=4)
    assert tasks.name == "sums"
    assert tasks.task("train", 0).data == {"seed": 4, "largest": 5}
    for factory, message in {
        "my_tasks:Half": "which is no TaskSet: it lacks task, env, tools, demonstrate",
        "my_tasks:Summs": "my_tasks has no Summs",
        "my_tasks:number": "is int, which cannot be called",
        "no_such_module:f": "No module named 'no_such_module'; is the module installed, or in",
    }.items():
        with pytest.raises(ConfigError, match=message):
            PluginTasks(PluginConfig(factory=factory), seed=0)
    with pytest.raises(ValueError, match="factory"):
        PluginConfig(factory="no colon")
