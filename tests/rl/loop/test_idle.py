"""Steps with nothing to learn from: counted, told once, and the end of a run."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.core.messages import Message
from espalier.envs.api import Episode, Task
from espalier.rl.loop.idle import IdleWatch, NothingToLearnError
from espalier.rl.loop.record.figures import failing_tools
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.trajectory import Trajectory

MOVED = {"updates": 1.0, "grad_skipped": 0.0}


def step(*groups: Sequence[float], verdict: float = 0.0, answer: str = "an answer") -> list[ScoredGroup]:
    task = Task("toy", "k", {"answer": "72"})
    played = []
    for index, rewards in enumerate(groups):
        rows = [
            Trajectory("toy", "k", index, reward=r, rewards={"numeric": r}, info={"verdict": verdict}) for r in rewards
        ]
        episode = Episode(task, [Message.user("q"), Message.assistant(answer)])
        played.append(ScoredGroup(index, task, rows, [episode] * len(rows)))
    return played


def watch(most: int = 3, *, by_group: bool = True) -> IdleWatch:
    return IdleWatch(most, by_group, correct_above=0.99)


def test_the_first_of_several_is_told_with_reward_component_and_answer():
    idle = watch()
    told = idle.look(4, step([0.0, 0.0], [0.0, 0.0]), MOVED)
    assert told == (
        "nothing to learn from: all 4 rewards are 0 (numeric gave 0 to all); "
        "the first answer: 'an answer', expected '72'"
    )
    assert idle.look(5, step([0.0, 0.0], [0.0, 0.0]), MOVED) is None
    assert idle.look(6, step([0.0, 1.0]), MOVED) is None
    assert idle.look(7, step([0.0, 0.0]), MOVED) is not None, "told anew after a step that taught something"


def test_groups_that_differ_only_from_each_other_teach_nothing_where_groups_are_compared():
    groups = step([0.0, 0.0], [1.0, 1.0])
    told = watch().look(1, groups, MOVED)
    assert told is not None
    assert "the rewards within each of the 2 groups are equal (numeric gave 0 to 1)" in told
    assert watch(by_group=False).look(1, groups, MOVED) is None


def test_equal_rewards_say_nothing_where_they_do_not_decide():
    idle = IdleWatch(3, True, correct_above=0.99, by_reward=False)
    assert idle.look(1, step([0.0, 0.0], [1.0, 1.0]), MOVED) is None
    assert idle.look(2, step([0.0, 0.0]), {"updates": 0.0, "grad_skipped": 0.0}) is not None


def test_a_step_whose_gradients_were_not_finite_is_idle():
    told = watch().look(1, step([0.0, 1.0]), {"updates": 0.0, "grad_skipped": 2.0})
    assert told is not None
    assert "no optimizer step moved the weights (2 had gradients that were not finite)" in told


def test_a_penalty_of_length_is_nothing_to_learn_a_task_from():
    groups = step([0.0, -0.5], [0.0, -1.0])
    for group in groups:
        for row in group.rows:
            row.rewards = {"numeric": 0.0, "overlong": row.reward or 0.0}
    told = watch().look(1, groups, MOVED)
    assert told is not None
    assert "all 4 rewards are 0 (numeric gave 0 to all, overlong gave -1 to 0)" in told


def test_too_many_in_a_row_end_the_run_with_words():
    idle = watch()
    for number in (1, 2):
        idle.look(number, step([0.5, 0.5]), MOVED)
    with pytest.raises(
        NothingToLearnError, match=r"3 steps in a row .* Step 3: all 2 rewards are 0.5 .*stop_after_idle=0"
    ):
        idle.look(3, step([0.5, 0.5]), MOVED)


def test_a_solved_task_ends_the_run_without_an_error():
    idle = watch()
    for number in (1, 2, 3):
        assert not idle.ended
        idle.look(number, step([1.0, 1.0], verdict=1.0), MOVED)
    assert idle.ended


def test_tools_that_mostly_fail_are_named():
    shop = {"env/shop/calls": 2.0, "env/shop/call_errors": 1.1}
    bank = {"env/bank/calls": 2.0, "env/bank/call_errors": 1.0}
    assert failing_tools({**shop, **bank, "reward/total": 0.0}) == ["shop"]
    assert failing_tools({"env/mine/call_errors": 1.0}) == [], "of an environment that does not count calls"


def test_zero_never_ends():
    idle = watch(0)
    for number in range(50):
        idle.look(number, step([0.0, 0.0]), MOVED)
    assert not idle.ended


@given(st.lists(st.sampled_from(["good", "flat", "solved"]), max_size=40), st.integers(0, 40))
def test_a_resumed_watch_goes_on_where_it_was(fates: list[str], cut: int):
    kinds = {"good": step([0.0, 1.0]), "flat": step([0.0, 0.0]), "solved": step([1.0, 1.0], verdict=1.0)}

    def run(watch: IdleWatch, part: list[str]) -> tuple[IdleWatch, bool]:
        for number, fate in enumerate(part):
            try:
                watch.look(number, kinds[fate], MOVED)
            except NothingToLearnError:
                return watch, True
            if watch.ended:
                break
        return watch, False

    whole, raised = run(watch(5), fates)
    first, raised_before = run(watch(5), fates[:cut])
    if raised_before or first.ended:
        assert (raised, whole.ended) == (raised_before, first.ended)
        return
    second, raised_after = run(IdleWatch(5, True, 0.99, **first.save()), fates[cut:])
    assert (second.save(), second.ended, raised_after) == (whole.save(), whole.ended, raised)
