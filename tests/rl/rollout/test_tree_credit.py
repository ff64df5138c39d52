"""Segments and process rewards of TreeRL: worked cases, and what holds for every tree."""

import math
from collections.abc import Mapping, Sequence
from random import Random
from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tree_rows import PROMPT, branch, chain, drawn, six

from espalier.envs.api import Task
from espalier.rl.algorithms.credit import advantages
from espalier.rl.algorithms.table import algorithm
from espalier.rl.rollout.api import ScoredGroup
from espalier.rl.rollout.tree.config import TreeConfig
from espalier.rl.rollout.tree.credit import TreeCredit, segment_credit
from espalier.rl.rollout.tree.nodes import ROOT, Tree
from espalier.rl.trajectory import Status, Trajectory

PAPER = TreeConfig()
RELEASED = TreeConfig(credit="released_code")
SEEDS = st.integers(0, 10**9)


def assign(
    rows: Sequence[Trajectory], trained: Sequence[Trajectory], config: TreeConfig, *, overlong: bool = True
) -> None:
    """Give the trained rows their advantages."""
    others = [row for row in rows if all(row is not one for one in trained)]
    TreeCredit(config, overlong)(ScoredGroup(0, Task("toy", "k", {}), list(trained), others=others))


def rewards(rows: list[Trajectory]) -> dict[int, float]:
    return {row.member: row.reward or 0.0 for row in rows}


def by_segment(
    rows: list[Trajectory], trained: list[Trajectory], config: TreeConfig
) -> Mapping[tuple[int, int], float]:
    """(member, start) of each segment of a trained row: its advantage, equal at all of its tokens."""
    assign(rows, trained, config)
    tree, found = Tree(rows), {}
    for row in trained:
        assert row.advantages is not None
        for segment in (tree.segments[i] for i in tree.paths[row.member]):
            (value,) = set(row.advantages[segment.start : segment.end])
            assert found.setdefault((segment.member, segment.start), value) == value
    return found


def test_forks_cut_rows_into_segments():
    tree = Tree(six())
    assert [(s.member, s.start, s.end, s.parent, s.leaves) for s in tree.segments] == [
        (0, 2, 5, ROOT, [0, 2, 3]),
        (0, 5, 8, 0, [0]),
        (1, 2, 4, ROOT, [1, 4, 5]),
        (1, 4, 7, 2, [1]),
        (2, 5, 9, 0, [2]),
        (3, 5, 7, 0, [3]),
        (4, 4, 6, 2, [4]),
        (5, 4, 8, 2, [5]),
    ]


def test_a_fork_of_a_fork():
    one = chain(0, 6)
    two = branch(one, 5, 1, 6)
    tree = Tree([one, two, branch(two, 8, 2, 3)])
    assert [(s.member, s.start, s.end, s.parent, s.leaves) for s in tree.segments] == [
        (0, 2, 5, ROOT, [0, 1, 2]),
        (0, 5, 8, 0, [0]),
        (1, 5, 8, 0, [1, 2]),
        (1, 8, 11, 2, [1]),
        (2, 8, 11, 2, [2]),
    ]
    with pytest.raises(ValueError, match="forked from 1, which is not there"):
        Tree([one, branch(two, 8, 2, 3)])


def test_worked_case_of_the_paper():
    """V(root) = 1/3; of the first fork's prefix 2/3, of its leaves 1, 1, 0; of the second's all 0."""
    rows = six()
    third, root = 1 / 3, math.sqrt(3)
    assert by_segment(rows, rows, PAPER) == pytest.approx(
        {
            (0, 2): (third + third) / root,
            (0, 5): 2 / 3 + 1 / 3,
            (2, 5): 2 / 3 + 1 / 3,
            (3, 5): -1 / 3 - 2 / 3,
            (1, 2): (-third - third) / root,
            (1, 4): -third,
            (4, 4): -third,
            (5, 4): -third,
        }
    )


def test_worked_case_of_the_ablations():
    rows = six()
    no_local = by_segment(rows, rows, TreeConfig(local_weight=0.0))
    no_global = by_segment(rows, rows, TreeConfig(global_weight=0.0))
    no_root = by_segment(rows, rows, TreeConfig(normalize=False))
    assert [no_local[0, 2], no_local[0, 5]] == pytest.approx([1 / 3 / math.sqrt(3), 2 / 3])
    assert [no_global[0, 2], no_global[3, 5]] == pytest.approx([1 / 3 / math.sqrt(3), -2 / 3])
    assert [no_root[0, 2], no_root[0, 5]] == pytest.approx([2 / 3, 1.0])


def test_worked_case_of_the_released_code():
    """Compared with the others' mean: 0.8 and -0.4. The mean of that over all tokens is subtracted, and values are
    divided by the square root of the leaves before any difference is taken.
    """
    rows = six()
    assert [row.sampled for row in rows] == [6, 5, 7, 5, 4, 6]
    mean = (0.8 * 13 - 0.4 * 20) / 33
    good, bad = 0.8 - mean, -0.4 - mean
    first, second = (2 * good + bad) / 3 / math.sqrt(3), bad / math.sqrt(3)
    root = (2 * good + 4 * bad) / 6 / math.sqrt(6)
    assert [first, second, root] == pytest.approx([0.188951, -0.272929, -0.029691], abs=1e-6)
    assert by_segment(rows, rows, RELEASED) == pytest.approx(
        {
            (0, 2): 2 * first - root,
            (0, 5): 2 * good - first,
            (2, 5): 2 * good - first,
            (3, 5): 2 * bad - first,
            (1, 2): 2 * second - root,
            (1, 4): 2 * bad - second,
            (4, 4): 2 * bad - second,
            (5, 4): 2 * bad - second,
        }
    )


def test_the_released_code_divides_by_the_trained_leaves_alone():
    """Of three trained leaves, one is below the first prefix and two below the second. The means are of all leaves."""
    rows = six()
    found = by_segment(rows, [rows[0], rows[1], rows[4]], RELEASED)
    mean = (0.8 * 13 - 0.4 * 20) / 33
    good, bad = 0.8 - mean, -0.4 - mean
    first, second, root = (2 * good + bad) / 3, bad / math.sqrt(2), (2 * good + 4 * bad) / 6 / math.sqrt(3)
    assert found == pytest.approx(
        {
            (0, 2): 2 * first - root,
            (0, 5): 2 * good - first,
            (1, 2): 2 * second - root,
            (1, 4): 2 * bad - second,
            (4, 4): 2 * bad - second,
        }
    )
    assert [found[0, 2], found[0, 5]] == pytest.approx([0.69653, 1.12727], abs=1e-5)


def test_the_released_code_copies_credit_where_nothing_changes():
    """Both branches are right, so the segments before and after the fork have one value."""
    one = chain(0, 6, 1.0)
    rows = [one, branch(one, 5, 1, 3, 1.0), chain(2, 4, 0.0)]
    found = by_segment(rows, rows, TreeConfig(credit="released_code", normalize=False))
    assert found[0, 5] == found[1, 5] == found[0, 2] != 0.0


def test_the_released_code_punishes_overlong_leaves():
    rows = six()
    rows[0].status = Status.TRUNCATED
    assign(rows, [rows[0], rows[1]], RELEASED)
    assert rows[0].advantages == [0.0, 0.0, *[-1.0] * 6]
    assign(rows, [rows[0], rows[1]], RELEASED, overlong=False)
    assert rows[0].advantages is not None
    assert rows[0].advantages[-1] > 0.0, "a control with shuffled rewards is not to teach lengths"
    assign(rows, [rows[0]], PAPER)
    assert rows[0].advantages is not None
    assert rows[0].advantages[-1] == pytest.approx(1.0)


@given(SEEDS)
def test_values_add_up(seed: int):
    """Invariants 1 to 4 of the credit, and that segments join to the leaves' tokens."""
    rows = drawn(Random(seed))
    tree, reward = Tree(rows), rewards(rows)
    whole = fmean(reward.values())
    value = [fmean(reward[m] for m in segment.leaves) for segment in tree.segments]
    children: dict[int, list[int]] = {}
    for index, segment in enumerate(tree.segments):
        children.setdefault(segment.parent, []).append(index)
    for parent, below in children.items():
        leaves = list(tree.paths) if parent == ROOT else tree.segments[parent].leaves
        expected = whole if parent == ROOT else value[parent]
        counts = [len(tree.segments[i].leaves) for i in below]
        assert math.fsum(n * value[i] for n, i in zip(counts, below, strict=True)) == pytest.approx(
            len(leaves) * expected
        )
        local = segment_credit(tree, reward, TreeConfig(global_weight=0.0, normalize=False))
        assert math.fsum(n * local[i] for n, i in zip(counts, below, strict=True)) == pytest.approx(0.0, abs=1e-12)
    far = segment_credit(tree, reward, TreeConfig(local_weight=0.0, normalize=False))
    for row in rows:
        path = tree.paths[row.member]
        assert math.fsum(local[i] for i in path) == pytest.approx(reward[row.member] - whole)
        tokens = [t for i in path for t in _tokens(rows, tree, i)]
        assert tokens == row.tokens[PROMPT:]
    assert fmean(far[tree.paths[m][-1]] for m in tree.paths) == pytest.approx(0.0, abs=1e-12)


def _tokens(rows: list[Trajectory], tree: Tree, index: int) -> list[int]:
    segment = tree.segments[index]
    (row,) = (row for row in rows if row.member == segment.member)
    return row.tokens[segment.start : segment.end]


@given(SEEDS, st.sampled_from([0.0, 1.0]), st.sampled_from([PAPER, RELEASED]))
def test_equal_rewards_give_no_credit(seed: int, reward: float, config: TreeConfig):
    rows = drawn(Random(seed))
    for row in rows:
        row.reward = reward
    assign(rows, rows, config)
    assert all(value == pytest.approx(0.0, abs=1e-12) for row in rows for value in row.advantages or [1.0])


@given(st.lists(st.sampled_from([0.0, 1.0]), min_size=2, max_size=8))
def test_chains_alone_get_twice_the_difference_from_the_mean(values: list[float]):
    rows = [chain(m, 3, reward) for m, reward in enumerate(values)]
    assign(rows, rows, PAPER)
    for row, reward in zip(rows, values, strict=True):
        assert row.advantages is not None
        assert row.advantages[PROMPT:] == pytest.approx([2 * (reward - fmean(values))] * 3)


@given(SEEDS)
def test_credit_goes_to_sampled_tokens_alone_and_is_kept_by_the_learner(seed: int):
    rows = drawn(Random(seed))
    assign(rows, rows[::2], PAPER)
    for row in rows[::2]:
        row.check()
        assert row.advantages is not None
        assert not any(value for value, sampled in zip(row.advantages, row.mask, strict=True) if not sampled)
    kept = advantages(algorithm("grpo", advantage="group_mean"), [rows[::2]]).advantages
    assert kept == [row.advantages for row in rows[::2]]
