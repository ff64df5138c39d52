"""Job `rl.eval`: it measures what training measures."""

import asyncio
import json
from math import comb
from pathlib import Path

import pytest
from rl_runs import SMALL, config, finish, start

from espalier.core.data import DataRoot
from espalier.core.run.run import Run
from espalier.envs.api import Episode, Task
from espalier.rl.config import EvaluationConfig
from espalier.rl.eval_config import EvalConfig
from espalier.rl.loop.evaluate import Evaluator
from espalier.rl.measure import as_text, measure, results
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.trajectory import Trajectory


def test_a_finished_run_measures_the_same_as_its_last_evaluation(tmp_path: Path):
    short = config(steps=1)
    run = start(tmp_path, short)
    trained = finish(run, short)
    shared = {name: SMALL[name] for name in ("tasks", "rollout", "engine", "evaluation")}
    settings = EvalConfig.model_validate({**shared, "model": {"pretrained": str(run.path / "model")}})
    plain = settings.model_dump(mode="json")
    with Run.create(tmp_path, job="rl.eval", name="eval", config=plain, data=DataRoot(None)) as again:
        found = measure(settings, again)
    assert found["accuracy"] == trained["accuracy_after"]
    assert found["accuracy_lo"] <= found["accuracy"] <= found["accuracy_hi"]
    samples = [json.loads(line) for line in (again.path / "artefacts/samples.jsonl").read_text().splitlines()]
    assert len(samples) == 8 * 2
    assert "Answers" in (again.path / "report.html").read_text()


class Scored:
    """Plays tasks whose `data` says how many of four attempts are right."""

    async def play(self, index: int, task: Task, members: int | None = None) -> ScoredGroup:
        rows = [
            Trajectory(task.env, task.key, index, m, mask=[True, True], info={"verdict": float(m < task.data["right"])})
            for m in range(4)
        ]
        return ScoredGroup(index, task, rows, [Episode(task, []) for _ in rows])


def test_pass_at_k_by_hand_for_each_task_set():
    tasks = [Task(env, f"{env}{right}", {"right": right}) for env, right in (("a", 0), ("a", 2), ("b", 1), ("b", 3))]
    evaluator = Evaluator(Scored(), tasks, EvaluationConfig(samples=4), (1, 3))  # type: ignore[arg-type]
    groups = asyncio.run(evaluator.play())
    evaluation = evaluator.summary(groups)
    by_hand = {right: 1 - comb(4 - right, 3) / comb(4, 3) for right in (0, 2, 1, 3)}
    assert by_hand == {0: 0.0, 2: 1.0, 1: 0.75, 3: 1.0}
    assert evaluation.metrics["eval/pass@3"] == pytest.approx((0 + 1 + 0.75 + 1) / 4)
    assert evaluation.metrics["eval/pass@1"] == pytest.approx(evaluation.accuracy) == pytest.approx(6 / 16)
    lines = as_text(results(evaluation, groups))
    assert [line.split()[0] for line in lines] == ["tasks", "all", "a", "b"]
    assert lines[2].split()[1:3] == ["2", "25.0%"]
    assert lines[3].split()[-3:] == ["50.0%", "87.5%", "2.0"]
