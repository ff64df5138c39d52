"""Answers of any length are judged in no time."""

from time import perf_counter

import pytest
from pydantic import TypeAdapter

from espalier.core.data import DataRoot
from espalier.envs.build import build_tasks
from espalier.envs.config import TasksConfig
from espalier.envs.procedural import Question

MILLION = 1_000_000
HOSTILE = {
    "letters": "d" * MILLION,
    "no-ops": "im" * (MILLION // 2),
    "digits": "9" * MILLION,
    "product": f"{'9' * MILLION}*1",
    "parentheses": "(" * MILLION,
    "powers": "9**" * (MILLION // 3) + "9",
    "nodes": "ab" * (MILLION // 2),
    "blanks": " " * MILLION,
    "unicode": "\u0663" * MILLION,
    "zeros": "\0" * MILLION,
}
SETS = ["multiplication", "countdown", "sorting", "reverse", "chain_sums", "brackets"]
SETS += ["paths", "programs", "factoring", "quantities"]


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("env", SETS)
def test_an_answer_of_a_million_characters_is_refused_at_once(env: str, text: str):
    tasks = build_tasks(TypeAdapter(TasksConfig).validate_python([{"env": env}]), seed=0, data=DataRoot(None))
    assert isinstance(tasks, Question)
    task = tasks.task("train", 0)
    start = perf_counter()
    assert tasks.judge(task, f"#{HOSTILE[text]}") == 0.0
    assert tasks.judge(task, f"#{task.answer}{HOSTILE[text]}") == 0.0
    assert tasks.canonical_answer(task.data, HOSTILE[text]) == HOSTILE[text].strip()
    assert perf_counter() - start < 0.25
