"""No penalty for clean texts: solutions that people wrote, and demonstrations of every task set."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from random import Random

import pytest
from pydantic import TypeAdapter

from espalier.core.data import DataRoot
from espalier.core.messages import Message
from espalier.envs.api import Episode, Task
from espalier.envs.build import build_tasks
from espalier.envs.config import TasksConfig
from espalier.rewards.penalties.penalties import PenaltiesConfig, penalties

DEMONSTRATIONS = [
    {"env": "multiplication", "digits": 3, "direct": 0},
    {"env": "multiplication", "digits": 12, "direct": 0},
    {"env": "countdown", "count": 4, "tries": 10, "direct": 0},
    {"env": "countdown", "count": 2, "largest": 4, "tries": 10, "direct": 0},
    {"env": "chain_sums", "terms": 8, "digits": 4, "direct": 0},
    {"env": "sorting", "length": 32},
    {"env": "reverse", "length": 64, "letters": 26},
    {"env": "reverse", "length": 64, "letters": 2},
    {"env": "brackets", "length": 64, "kinds": 4},
    {"env": "calculator", "terms": 6, "direct": 0},
    {"env": "guess_number", "largest": 5000},
]


def penalised(episode: Episode, *, mixed: bool = False) -> bool:
    return penalties(PenaltiesConfig(mixed=mixed), episode) == 0.0


def demonstrations(entry: dict[str, object], count: int) -> Iterator[Episode]:
    tasks = build_tasks(TypeAdapter(TasksConfig).validate_python([entry]), seed=0, data=DataRoot(None))
    for index in range(count):
        task = tasks.task("train", index)
        yield Episode(task, list(tasks.demonstrate(task, Random(index))))


def answers(name: str, question: str, answer: str) -> Iterator[Episode]:
    path = DataRoot.find().file(f"text/{name}")
    raw = path.read_bytes()
    text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode()
    for line in text.split("\n"):
        if line:
            row = json.loads(line)
            said = [Message.user(str(row[question])), Message.assistant(str(row[answer]))]
            yield Episode(Task(name, "k", {}), said)


@pytest.mark.parametrize("entry", DEMONSTRATIONS, ids=lambda entry: "-".join(str(value) for value in entry.values()))
def test_demonstrations_are_not_penalised(entry: dict[str, object]):
    judged = list(demonstrations(entry, 300))
    assert sum(penalised(episode, mixed=True) for episode in judged) == 0
    assert len(judged) == 300


@pytest.mark.parametrize("digit", range(1, 10))
def test_the_same_step_over_and_over_is_no_loop_where_the_task_asks_for_it(digit: int):
    entry = {"env": "multiplication", "digits": 12, "direct": 0, "slips": 0}
    tasks = build_tasks(TypeAdapter(TasksConfig).validate_python([entry]), seed=0, data=DataRoot(None))
    for factor in range(2, 10):
        task = Task("multiplication", "k", {"a": int(str(digit) * 12), "b": factor})
        assert not penalised(Episode(task, list(tasks.demonstrate(task, Random(0)))))


@pytest.mark.data
def test_ten_thousand_clean_traces_have_no_penalty():
    found: Counter[str] = Counter()
    count = 0
    solutions = answers("gsm8k/train.jsonl", "question", "answer")
    drawn = (episode for entry in DEMONSTRATIONS for episode in demonstrations(entry, 250))
    for episode in (*solutions, *drawn):
        count += 1
        found[episode.task.env] += penalised(episode, mixed=True)
    assert count == 7473 + 2750
    assert found.total() == 0, found


@pytest.mark.data
def test_other_references_have_no_penalty_but_for_their_language():
    judged = [
        *answers("mathusereval/math-user-eval.jsonl", "question", "reference"),
        *answers("alignbench/data_v1.1_release.jsonl", "question", "reference"),
        *answers("humaneval/HumanEval.jsonl.gz", "prompt", "canonical_solution"),
    ]
    assert len(judged) == 567 + 683 + 164
    assert sum(map(penalised, judged)) == 0
    assert sum(penalised(episode, mixed=True) for episode in judged) == 10, "translations, and English asked in Chinese"


@pytest.mark.data
def test_samples_of_weak_models_do_have_loops_and_none_of_those_is_right():
    loops, right = 0, 0
    path = DataRoot.find().file("text/gsm8k/model_solutions.jsonl")
    for line in path.read_text(encoding="utf-8").splitlines():
        for value in json.loads(line).values():
            if isinstance(value, dict):
                messages = [Message.user("?"), Message.assistant(value["solution"])]
                if penalised(Episode(Task("gsm8k", "k", {}), messages)):
                    loops, right = loops + 1, right + value["is_correct"]
    assert (loops, right) == (13, 0)
