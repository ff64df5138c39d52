"""The source that prefers tasks of middle difficulty, alone and in whole runs."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

import pytest
from pydantic import ValidationError
from rl_runs import SMALL, config, finish, start, stopped_at, trace

from espalier.core.data import DataRoot
from espalier.core.errors import ConfigError
from espalier.core.messages import Message, ToolSpec
from espalier.core.run.run import Run
from espalier.envs.api import Env, Split, Task
from espalier.rl.assemble import setting
from espalier.rl.config import TrainConfig
from espalier.rl.curriculum.build import build_source
from espalier.rl.curriculum.config import CurriculumConfig
from espalier.rl.curriculum.difficulty import weight
from espalier.rl.curriculum.source import CurriculumSource
from espalier.rl.loop.checkpoints import State
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.trajectory import Status, Trajectory

RATES = {"easy": 1.0, "middle": 0.5, "hard": 0.0}


class Tiers:
    """Three sets in turn; with `finite`, ten tasks that come from a file."""

    name = "tiers"

    def __init__(self, finite: bool = False) -> None:
        self.finite = finite

    def task(self, split: Split, index: int) -> Task:
        place = index % 10 if self.finite else index
        env = list(RATES)[place % 3]
        data = {"row": {"level": env[0]}, "source": f"q.csv:{place + 1}"} if self.finite else {}
        return Task(env, f"k{place}", data, split)

    def env(self, task: Task) -> Env:
        raise NotImplementedError

    def tools(self, task: Task) -> Sequence[ToolSpec]:
        return ()

    def demonstrate(self, task: Task, rng: Random) -> Sequence[Message]:
        return []


def source(
    *, finite: bool = False, saved: dict[str, Any] | None = None, cursor: int = 0, **settings: Any
) -> CurriculumSource:
    return CurriculumSource(
        Tiers(finite),
        CurriculumConfig.model_validate(settings),
        seed=0,
        guesses={"easy": 0.0, "middle": 0.5, "hard": 0.0},
        correct_above=0.5,
        cursor=cursor,
        saved=saved,
    )


def ended(index: int, task: Task, rate: float, **info: Any) -> ScoredGroup:
    group = ScoredGroup(index, task)
    for member in range(4):
        reward = float(member < 4 * rate)
        row = Trajectory(task.env, task.key, index, member, reward=reward, info={"verdict": reward, **info})
        group.rows.append(row)
    return group


def steps(found: CurriculumSource, count: int, groups: int = 8) -> Counter[str]:
    """Tiers issued in so many steps of training, with the pass rates of `RATES`."""
    tiers: Counter[str] = Counter()
    for _ in range(count):
        for index, task in [found.next() for _ in range(groups)]:
            tiers[task.env] += 1
            found.learn(ended(index, task, RATES[task.env]))
        found.advance()
    return tiers


def test_tasks_of_middle_difficulty_come_most_often_and_none_is_lost():
    found = source(guesses=False)
    steps(found, 20)
    tiers = steps(found, 200)
    total = tiers.total()
    expected = {"easy": 0.05 / 1.15, "middle": 1.05 / 1.15, "hard": 0.05 / 1.15}
    assert {tier: tiers[tier] / total for tier in RATES} == pytest.approx(expected, abs=0.03)
    assert min(tiers.values()) > 0


def test_what_guessing_gives_is_not_worth_anything():
    found = source()
    steps(found, 20)
    tiers = steps(found, 200)
    assert tiers["middle"] / tiers.total() == pytest.approx(1 / 3, abs=0.05), "half right is what guessing gives"


def test_estimates_given_beforehand_decide_alone_offline():
    found = source(known={"easy": 0.9, "middle": 0.99, "hard": 0.5}, online=False)
    tiers = steps(found, 100)
    assert tiers["hard"] == max(tiers.values())
    assert found.advance()["curriculum/easy/rate"] == 0.9


def test_in_the_control_every_tier_has_the_weight_of_another():
    found = source(guesses=False, shuffle_weights=True)
    steps(found, 20)
    tiers = steps(found, 100)
    assert tiers["middle"] < 0.2 * tiers.total()


def test_without_candidates_tasks_come_in_their_order():
    found = source(candidates=1)
    assert [found.next()[1].key for _ in range(5)] == ["k0", "k1", "k2", "k3", "k4"]


def test_tiers_may_be_a_column_and_tasks_of_a_file_have_estimates_of_their_own():
    found = source(finite=True, tier="level", guesses=False)
    for _ in range(60):
        for index, task in [found.next() for _ in range(4)]:
            found.learn(ended(index, task, 0.5 if task.key == "k4" else 1.0))
        found.advance()
    later: Counter[str] = Counter()
    for _ in range(200):
        index, task = found.next()
        later[task.key] += 1
        found.learn(ScoredGroup(index, task))
    assert later.most_common(1)[0][0] == "k4", "the one that is not solved"
    assert set(later) == {f"k{i}" for i in range(10)}
    assert set(found.save()["difficulty"]["tiers"]) == {"e", "m", "h"}


def test_tiers_that_are_not_there_are_named():
    with pytest.raises(ConfigError, match="there is no task set 'esay'; there are easy, middle, hard"):
        source(known={"esay": 0.5})
    with pytest.raises(ConfigError, match=r"q.csv:1 has no column 'lvl'; it has level"):
        source(finite=True, tier="lvl").next()


def test_attempts_that_a_search_forked_say_nothing_about_difficulty():
    found = source()
    index, task = found.next()
    group = ended(index, task, 0.0)
    for row in group.rows[1:]:
        row.origin, row.info = (0, 1), {"verdict": 1.0}
    group.others, group.rows = group.rows[2:], group.rows[:2]
    found.learn(group)
    assert found.advance()[f"curriculum/{task.env}/rate"] == pytest.approx(0.7 * 0.5)


@pytest.mark.parametrize("info", [{"forced": True}])
def test_forced_answers_say_nothing_about_difficulty(info: dict[str, Any]):
    found = source()
    index, task = found.next()
    found.learn(ended(index, task, 1.0, **info))
    aborted = ended(index, task, 1.0)
    for row in aborted.rows:
        row.status = Status.ABORTED
    found.learn(aborted)
    assert f"curriculum/{task.env}/rate" not in found.advance()


def test_it_goes_on_from_a_checkpoint_and_interrupted_groups_keep_their_tasks():
    whole = source()
    steps(whole, 5)
    running = [whole.next() for _ in range(3)]
    part = source(saved=whole.save(), cursor=whole.cursor)
    for index, task in running:
        assert part.again(index) == (index, task)
    assert [part.next() for _ in range(20)] == [whole.next() for _ in range(20)]


MIXTURE = [
    {"env": "multiplication", "digits": 1, "direct": 1.0, "name": "one"},
    {"env": "multiplication", "digits": 2, "direct": 1.0, "name": "two"},
]


def curriculum(**settings: Any) -> TrainConfig:
    return config(tasks=MIXTURE, curriculum={"candidates": 4, **settings})


def test_a_run_subtracts_the_guess_rates_of_its_task_sets(tmp_path: Path):
    tasks = [{"env": "quantities", "form": form, "name": form} for form in ("choice", "fill")]
    wanted = config(tasks=tasks, curriculum={})
    scene = setting(wanted, start(tmp_path, wanted))
    source = build_source(wanted, scene.tasks, State("rl", 0), seed=0)
    assert isinstance(source, CurriculumSource)
    weights = {task.env: source._weight(task) for task in (scene.tasks.task("train", i) for i in range(4))}
    assert weights == pytest.approx({"choice": weight(0.5, 0.25, 0.05), "fill": weight(0.5, 0.0, 0.05)})
    asyncio.run(scene.engine.close())


@pytest.mark.parametrize("settings", [{}, {"expansion": {}}])
def test_a_run_that_is_stopped_goes_on_to_the_last_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
):
    wanted = curriculum(**settings)
    whole = start(tmp_path / "whole", wanted)
    finish(whole, wanted)
    assert {name for _, name, _ in trace(whole.path) if name.startswith("curriculum/one/")} == {
        "curriculum/one/rate",
        "curriculum/one/share",
    }
    parts = start(tmp_path / "parts", wanted)
    stopped_at(62, parts, wanted, monkeypatch)
    finish(Run.reopen(parts.path, data=DataRoot(None)), wanted)
    assert trace(parts.path) == trace(whole.path)


def test_a_run_with_expansion_starts_more_than_it_trains(tmp_path: Path):
    wanted = curriculum(expansion={"decay": 0.0})
    run = start(tmp_path, wanted)
    finish(run, wanted)
    history = run.metrics.history()
    factors = [point.value for point in history["expansion/factor"]]
    assert max(factors) > 1.0
    assert sum(point.value for point in history["expansion/flat"]) > 0.0
    assert len(history["expansion/informative"]) == wanted.steps


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rollout": {**SMALL["rollout"], "max_lag": 1}}, "needs rollout.max_lag=0"),
        ({"algorithm": {"name": "dapo"}}, "turn one off"),
        ({"curriculum": {"shuffle_weights": True}}, "give tasks two sets or more"),
        ({"curriculum": {"known": {"multiplication": 1.5}}}, "less than or equal to 1"),
    ],
)
def test_what_a_curriculum_cannot_go_with(changes: dict[str, Any], message: str):
    with pytest.raises(ValidationError, match=message):
        config(**{"curriculum": {"expansion": {}}, **changes})
