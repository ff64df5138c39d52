import asyncio
from math import comb

import pytest

from espalier.core.errors import EspalierError
from espalier.envs.api import Episode, Task
from espalier.rl.config import EvaluationConfig
from espalier.rl.loop.evaluate import GIVE_UP, Evaluation, EvaluationError, Evaluations, Evaluator
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.trajectory import Trajectory

SCORES = {"a": [1.0, 1.0, 0.0, 0.0], "b": [0.0, 0.0, 0.0, 1.0], "c": [0.5, 0.98, 1.0]}
"""Four attempts at each of three tasks; the fourth at `c` failed."""


class Player:
    async def play(self, index: int, task: Task, members: int | None = None) -> ScoredGroup:
        assert members == 4
        rows = [
            Trajectory(task.env, task.key, index, m, tokens=[0] * 3, mask=[False, True, True], info={"verdict": s})
            for m, s in enumerate(SCORES[task.key])
        ]
        return ScoredGroup(index, task, rows, [Episode(task, []) for _ in rows], errors=["x"] * (4 - len(rows)))


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


def test_a_player_with_more_rows_than_attempts_is_named():
    config = EvaluationConfig(samples=2)

    class Generous(Player):
        async def play(self, index: int, task: Task, members: int | None = None) -> ScoredGroup:
            return await super().play(index, task, 4)

    with pytest.raises(EvaluationError, match="the player gave 4 rows for 2 attempts at task a"):
        asyncio.run(Evaluator(Generous(), [Task("one", "a", {})], config)())  # type: ignore[arg-type]


def test_one_environment_has_no_figures_of_its_own():
    assert not any(name.startswith("eval/one") for name in evaluate(Task("one", "a", {})).metrics)


def test_further_measurements_stand_beside_the_accuracy_and_do_not_change_it():
    config = EvaluationConfig(samples=4)

    def over(key: str, prefix: str) -> Evaluator:
        return Evaluator(Player(), [Task("one", key, {})], config, prefix=prefix)  # type: ignore[arg-type]

    main, probe = over("a", "eval"), over("c", "probe")
    alone, found = asyncio.run(main()), asyncio.run(Evaluations(main, {"probe": probe})())
    assert found.accuracy == alone.accuracy == 0.5
    assert found.accuracies == {"accuracy": 0.5, "probe": 0.25}
    assert found.metrics["probe/avg"] == 0.25
    assert {name: value for name, value in found.metrics.items() if name.startswith("eval/")} == alone.metrics
    assert (alone.failed, found.failed, found.error) == (0, 1, "x"), "a probe's failures are told"
    assert found.summary.startswith("held-out accuracy 50.0%, probe 25.0% (1 attempts failed")


class Breaking:
    """Attempts at tasks from index `good` on are right; those before break off, after `wasted` tokens."""

    def __init__(self, good: int, wasted: int) -> None:
        self.good, self.wasted = good, wasted
        self.played: list[int] = []

    async def play(self, index: int, task: Task, members: int | None = None) -> ScoredGroup:
        for _ in range(10 * (index + 1)):  # turns of the event loop, not seconds: the order holds on a busy machine
            await asyncio.sleep(0)
        self.played.append(index)
        if index < self.good:
            return ScoredGroup(index, task, errors=[f"mine.py:7: broke at {index}"], wasted=self.wasted)
        row = Trajectory(task.env, task.key, index, tokens=[0] * 2, mask=[False, True], info={"verdict": 1.0})
        return ScoredGroup(index, task, [row] * 4, [Episode(task, [])] * 4)


def broken(good: int, wasted: int) -> tuple[Breaking, Evaluator]:
    player = Breaking(good, wasted)
    return player, Evaluator(player, [Task("one", str(i), {}) for i in range(20)], EvaluationConfig(samples=4))  # type: ignore[arg-type]


def test_answers_that_cannot_be_judged_end_the_evaluation_early_with_the_error():
    player, evaluator = broken(good=20, wasted=5)
    with pytest.raises(EvaluationError, match=rf"no answer to {GIVE_UP} held-out tasks could be scored: mine\.py:7"):
        asyncio.run(evaluator())
    assert player.played == list(range(GIVE_UP))
    assert issubclass(EvaluationError, EspalierError)


def test_attempts_all_of_which_fail_are_an_error_not_an_accuracy_of_zero():
    with pytest.raises(EvaluationError, match=r"every attempt at the 20 held-out tasks failed: mine\.py:7: broke at 0"):
        asyncio.run(broken(good=20, wasted=0)[1]())


def test_attempts_some_of_which_fail_are_counted_and_told():
    found = asyncio.run(broken(good=15, wasted=0)[1]())
    assert found.metrics["eval/failed"] == 0.75
    assert found.accuracy == 0.25
    told = "held-out accuracy 25.0% (60 attempts failed and count as wrong; the first: mine.py:7: broke at 0)"
    assert found.summary == told
