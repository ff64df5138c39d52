"""The knob of difficulty works: an oracle that errs in each step equally often fails more often as the knob rises."""

from itertools import pairwise
from random import Random
from typing import Any

import pytest
from pydantic import TypeAdapter

from espalier.core.data import DataRoot
from espalier.envs.build import build_tasks
from espalier.envs.config import TasksConfig
from espalier.envs.procedural import Question, final

COUNT = 1000
MARGIN = 0.06
"""Least difference of two levels: three standard errors of the difference of two rates, or more."""
LADDERS: list[tuple[dict[str, Any], str, list[int]]] = [
    ({"env": "multiplication", "direct": 0, "slips": 0.1}, "digits", [1, 3, 6, 12]),
    ({"env": "sorting", "steps": True, "slips": 0.1}, "length", [3, 6, 12, 24]),
    ({"env": "countdown", "direct": 1}, "count", [2, 3]),
    ({"env": "countdown", "direct": 1, "operators": "+-"}, "count", [2, 3, 5]),
    ({"env": "paths", "direct": 0, "slips": 0.15}, "nodes", [4, 7, 12, 20]),
    ({"env": "paths", "direct": 1}, "nodes", [4, 6, 10, 20]),
    ({"env": "programs", "direct": 0, "slips": 0.15, "tries": 0, "inputs": 9}, "length", [1, 2, 3, 5]),
    ({"env": "programs", "direct": 0, "slips": 0.1, "tries": 0, "length": 3, "solutions": 1}, "examples", [1, 2]),
    ({"env": "factoring", "direct": 0, "slips": 0.1, "tries": 200}, "largest", [7, 20, 50, 200]),
    ({"env": "factoring", "direct": 1}, "largest", [7, 15, 40, 200]),
    ({"env": "quantities", "form": "fill", "direct": 0, "slips": 0.2}, "steps", [1, 2, 4]),
    ({"env": "quantities", "form": "choice", "direct": 0, "slips": 0.6}, "steps", [1, 4]),
]


def success_rate(settings: dict[str, Any]) -> float:
    tasks = build_tasks(TypeAdapter(TasksConfig).validate_python([settings]), seed=0, data=DataRoot(None))
    assert isinstance(tasks, Question)
    random, right = Random(0), 0
    for _ in range(COUNT):
        data = tasks.draw(random)
        right += tasks.verify(data, final(tasks.solve(data, random)) or "")
    return right / COUNT


@pytest.mark.parametrize(("settings", "knob", "levels"), LADDERS)
def test_success_falls_as_the_knob_rises(settings: dict[str, Any], knob: str, levels: list[int]):
    rates = [success_rate({**settings, knob: level}) for level in levels]
    drops = [easier - harder for easier, harder in pairwise(rates)]
    assert min(drops) > MARGIN, rates
    assert 0 < rates[-1] < rates[0] < 1, rates
