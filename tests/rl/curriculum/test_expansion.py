"""Expansion: how many groups start, which are kept, and what is wasted."""

from collections import Counter
from random import Random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.envs.api import Task
from espalier.rl.curriculum.config import ExpansionConfig
from espalier.rl.curriculum.expansion import Expansion
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.trajectory import Trajectory

K = 8


def group(index: int, right: int, size: int = K) -> ScoredGroup:
    found = ScoredGroup(index, Task("toy", str(index), {}))
    for member in range(size):
        reward = float(member < right)
        found.rows.append(Trajectory("toy", str(index), index, member, reward=reward, info={"verdict": reward}))
    return found


def expansion(**settings: object) -> Expansion:
    return Expansion(ExpansionConfig.model_validate(settings), seed=0, correct_above=0.5)


def step(found: Expansion, outcomes: "list[int]", wanted: int) -> tuple[list[ScoredGroup], int]:
    """The groups of a step, whose outcomes come from the list, and how many started."""
    queue = iter(enumerate(outcomes))
    kept: list[ScoredGroup] = []
    started = 0
    for number in range(2):
        missing = wanted - len(kept)
        if missing:
            count = missing + (found.extra(missing) if number else found.begin(missing))
            started += count
            kept += found.choose([group(*next(queue)) for _ in range(count)], missing)
    return kept, started


def test_the_most_balanced_are_kept():
    found = expansion()
    kept = found.choose([group(0, 1), group(1, 4), group(2, 8), group(3, 5), group(4, 0)], 2)
    assert [one.index for one in kept] == [1, 3]


def test_a_worked_case_of_the_average():
    """8 started, 4 informative: 0.8 * 1 + 0.2 * 2 = 1.2. By rates: 0.2 * 0.5 = 0.1, so 1 / 0.9."""
    outcomes = [0, 8, 4, 4, 0, 8, 4, 4]
    ratio, rate = expansion(), expansion(average="rate")
    for found in (ratio, rate):
        assert found.factor == 1.0
        found.choose([group(i, right) for i, right in enumerate(outcomes)], 8)
    assert ratio.factor == pytest.approx(1.2)
    assert rate.factor == pytest.approx(1 / 0.9)
    assert (ratio.extra(10), rate.extra(9)) == (2, 1)


def test_a_second_round_tops_up_and_the_rest_is_filled_with_the_others():
    found = expansion()
    first = found.choose([group(0, 4), group(1, 0), group(2, 8), group(3, 0)], 4)
    assert [one.index for one in first] == [0]
    factor = found.factor
    second = found.choose([group(4, 4), group(5, 0), group(6, 0)], 3)
    assert [one.index for one in second] == [4, 5, 6]
    assert found.factor == factor, "the average is of the first round"
    found.begin(1)
    assert [one.index for one in found.choose([group(7, 0), group(8, 4)], 1)] == [8], "a new step"
    assert found.choose([group(9, 0)], 0) == []


def test_a_third_round_goes_on_filling():
    """Groups that fail are missing in every round, and are not the average's business."""
    found = expansion(decay=0.0)
    found.begin(4)
    assert len(found.choose([group(0, 4), group(1, 4)], 4)) == 2
    factor = found.factor
    assert len(found.choose([group(2, 0)], 2)) == 1
    assert [one.index for one in found.choose([group(3, 0), group(4, 0)], 1)] == [3]
    assert found.factor == factor


def test_where_nothing_is_informative_the_cap_holds():
    found = expansion(cap=4.0, decay=0.0)
    kept, started = step(found, [0] * 100, 4)
    assert (len(kept), started) == (4, 4 + 16)
    assert found.factor == 4.0
    assert step(found, [0] * 100, 4)[1] == 16 + 16


@given(st.lists(st.integers(0, K), min_size=120, max_size=120), st.integers(1, 8), st.sampled_from(["ratio", "rate"]))
def test_a_step_is_never_larger_than_wanted_nor_keeps_a_group_twice(outcomes: list[int], wanted: int, average: str):
    found = expansion(average=average)
    kept, started = step(found, outcomes, wanted)
    assert len(kept) == wanted
    assert len({one.index for one in kept}) == wanted
    assert wanted <= started
    assert 1.0 <= found.factor <= 4.0


@pytest.mark.parametrize("average", ["ratio", "rate"])
@pytest.mark.parametrize("flat", [0.2, 0.5])
def test_batches_are_full_and_little_is_wasted(average: str, flat: float):
    """64 groups a step; a share of them is flat. From the fifth step on, the informative ones fill the batch, and few
    more start than the ideal 1 / (1 - share).
    """
    random, found, wanted = Random(0), expansion(average=average), 64
    sizes, waste = [], []
    for number in range(40):
        outcomes = [random.choice((0, K)) if random.random() < flat else random.randint(1, K - 1) for _ in range(400)]
        kept, started = step(found, outcomes, wanted)
        if number >= 5:
            sizes.append(sum(one.informative for one in kept))
            waste.append(started / (wanted / (1 - flat)) - 1.0)
    assert fmean(sizes) > 0.9 * wanted
    assert fmean(waste) < 0.05


def test_equals_are_in_an_order_that_the_seed_names():
    groups = [group(i, 4) for i in range(20)]
    one = [g.index for g in expansion().choose(groups, 5)]
    assert one == [g.index for g in expansion().choose(groups, 5)]
    other = Expansion(ExpansionConfig(), seed=1, correct_above=0.5)
    assert one != [g.index for g in other.choose(groups, 5)]


def test_it_goes_on_from_a_checkpoint():
    whole = expansion()
    step(whole, [0, 4] * 50, 6)
    again = Expansion(ExpansionConfig(), seed=0, correct_above=0.5, saved=whole.save())
    assert again.factor == whole.factor
    assert whole.figures([group(0, 4), group(1, 0)], Counter(surplus=3)) == {
        "expansion/factor": whole.factor,
        "expansion/informative": 1.0,
        "expansion/surplus": 3.0,
        "expansion/flat": 0.0,
    }
