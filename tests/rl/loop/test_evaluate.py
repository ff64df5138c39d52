import asyncio
from math import comb

import pytest

from espalier.envs.api import Episode, Task
from espalier.rl.config import EvaluationConfig
from espalier.rl.loop.evaluate import Evaluation, Evaluator
from espalier.rl.rollout.groups import Played
from espalier.rl.trajectory import Trajectory

SCORES = {"a": [1.0, 1.0, 0.0, 0.0], "b": [0.0, 0.0, 0.0, 1.0], "c": [0.5, 0.98, 1.0]}
"""Four attempts at each of three tasks; the fourth at `c` failed."""


class Player:
    async def play(self, index: int, task: Task, members: int | None = None) -> Played:
        assert members == 4
        rows = [
            Trajectory(task.env, task.key, index, m, tokens=[0] * 3, mask=[False, True, True], info={"verdict": s})
            for m, s in enumerate(SCORES[task.key])
        ]
        return Played(index, task, rows, [Episode(task, []) for _ in rows], errors=["x"] * (4 - len(rows)))


def evaluate(*tasks: Task) -> Evaluation:
    config = EvaluationConfig(samples=4)
    return asyncio.run(Evaluator(Player(), tasks, config)())  # type: ignore[arg-type]


def test_figures_by_hand():
    found = evaluate(Task("one", "a", {}), Task("one", "b", {}), Task("two", "c", {}))
    metrics = found.metrics
    assert found.accuracy == metrics["eval/avg"] == pytest.approx((2 + 1 + 1) / 12), "a failed attempt is wrong"
    assert metrics["eval/pass@4"] == 1.0
    pairs = [1 - comb(4 - correct, 2) / comb(4, 2) for correct in (2, 1, 1)]
    assert metrics["eval/pass@2"] == pytest.approx(sum(pairs) / 3)
    assert metrics["eval/one/avg"] == pytest.approx(3 / 8)
    assert metrics["eval/two/avg"] == pytest.approx(1 / 4), "0.98 is not above evaluation.correct_above"
    assert metrics["eval/avg_lo"] <= found.accuracy <= metrics["eval/avg_hi"]
    assert metrics["eval/len"] == 2.0


def test_one_environment_has_no_figures_of_its_own():
    assert not any(name.startswith("eval/one") for name in evaluate(Task("one", "a", {})).metrics)
