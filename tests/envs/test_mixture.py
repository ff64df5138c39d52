from collections import Counter
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from espalier.core.data import DataRoot
from espalier.core.errors import ConfigError
from espalier.envs.api import TaskSet
from espalier.envs.build import build_tasks
from espalier.envs.config import TasksConfig
from espalier.envs.mixture import PERIOD, Mixture, interleave


def make(*entries: dict[str, object]) -> TaskSet:
    return build_tasks(TypeAdapter(TasksConfig).validate_python(list(entries)), seed=0, data=DataRoot(None))


@given(st.lists(st.floats(0.05, 10.0), min_size=1, max_size=6), st.integers(0, PERIOD - 50))
def test_every_stretch_has_the_shares(weights: list[float], start: int):
    cycle = interleave(weights)
    share = [weight / sum(weights) for weight in weights]
    assert all(abs(cycle.count(i) - PERIOD * share[i]) <= len(weights) for i in range(len(weights)))
    stretch = cycle[start : start + 50]
    assert all(abs(stretch.count(i) - 50 * share[i]) <= 2 * len(weights) for i in range(len(weights)))


def test_members_are_asked_for_their_own_indices_one_after_the_other():
    single = make({"env": "sorting"})
    tasks = make({"env": "sorting", "weight": 2}, {"env": "reverse"}, {"env": "countdown"})
    drawn = [tasks.task("train", i) for i in range(2 * PERIOD)]
    assert Counter(task.env for task in drawn) == {"sorting": PERIOD, "reverse": PERIOD // 2, "countdown": PERIOD // 2}
    assert [task for task in drawn if task.env == "sorting"] == [single.task("train", i) for i in range(PERIOD)]


def test_each_task_meets_its_own_environment():
    tasks = make({"env": "calculator"}, {"env": "sorting"})
    assert isinstance(tasks, Mixture)
    for index in range(6):
        task = tasks.task("heldout", index)
        assert tasks.env(task).name == task.env
        assert [tool.name for tool in tasks.tools(task)] == (["calculate"] if task.env == "calculator" else [])
        assert tasks.demonstrate(task, Random(0))[-1].content.startswith("#")


def test_two_sets_of_one_environment_need_names():
    with pytest.raises(ConfigError, match="two task sets are called 'sorting': give one of them another `name`"):
        make({"env": "sorting"}, {"env": "sorting", "length": 9})
    tasks = make({"env": "sorting", "name": "short"}, {"env": "sorting", "name": "long", "length": 9})
    assert {tasks.task("train", i).env for i in range(4)} == {"short", "long"}


def test_names_do_not_move_instances_between_splits():
    plain, named = make({"env": "reverse", "length": 3}), make({"env": "reverse", "length": 3, "name": "x"})
    train = {plain.task("train", i).key for i in range(300)}
    assert train.isdisjoint(named.task("heldout", i).key for i in range(300))


def test_a_share_that_is_too_small_is_refused():
    with pytest.raises(ConfigError, match=r"tasks\.1\.weight is less than one in 1000"):
        interleave([1.0, 1e-5])


@pytest.mark.parametrize("entries", [[], [{"env": "sortng"}], [{"env": "sorting", "lenght": 3}], [{"length": 3}]])
def test_sections_that_are_refused(entries: list[dict[str, object]]):
    with pytest.raises(ValidationError):
        make(*entries)
