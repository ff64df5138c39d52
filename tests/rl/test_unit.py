"""Units of rows: lines of forks, pairs, and what the learner keeps together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from espalier.rl.algorithms.table import algorithm
from espalier.rl.learner.experience import Passes, experience
from espalier.rl.trajectory import Trajectory
from espalier.rl.unit import Unit, UnitError


def root() -> Trajectory:
    row = Trajectory("t", "k", member=0, reward=1.0)
    row.observe([1, 2])
    row.sample([3, 4, 5], [-1.0] * 3, [0] * 3)
    return row


def tree() -> list[Trajectory]:
    """0 -> 1 -> 2, and 0 -> 3."""
    first = root()
    second = first.fork(3, 1)
    second.sample([6, 7], [-1.0] * 2, [0] * 2)
    third = second.fork(4, 2)
    return [first, second, third, first.fork(4, 3)]


def test_forks_know_their_line_at_any_depth() -> None:
    rows = tree()
    unit = Unit(rows, "tree")
    assert [[row.member for row in unit.ancestors(leaf)] for leaf in rows] == [[], [0], [1, 0], [0]]
    assert rows[2].origin == (1, 4)


def test_a_tree_without_a_parent_and_forks_in_a_circle_are_refused() -> None:
    rows = tree()
    with pytest.raises(UnitError, match="member 1, from which 2 was forked, is not in its unit"):
        Unit([rows[0], rows[2]], "tree")
    circle = [replace(rows[1], origin=(2, 1)), rows[2]]
    with pytest.raises(UnitError, match="was forked from it"):
        Unit(circle, "tree")
    with pytest.raises(ValueError, match="its own number"):
        rows[0].fork(3, 0)


def test_members_of_a_tree_are_told_apart_and_begin_as_their_parents_do() -> None:
    rows = tree()
    with pytest.raises(UnitError, match="two rows of a tree are member 1"):
        Unit([*rows, rows[0].fork(2, 1)], "tree")
    with pytest.raises(UnitError, match="member 1 was forked at token 3 of member 0, and does not begin with its"):
        Unit([rows[0], replace(rows[1], tokens=[9, *rows[1].tokens[1:]])], "tree")
    with pytest.raises(UnitError, match="forked at token 99"):
        Unit([rows[0], replace(rows[1], origin=(0, 99))], "tree")


def test_a_pair_has_two_rows() -> None:
    with pytest.raises(UnitError, match="a pair has two rows, not 1"):
        Unit([root()], "pair")


def test_rows_of_a_pair_share_a_block_and_move_together() -> None:
    pair = Unit([root(), replace(root(), member=1, advantages=[0.0] * 5)], "pair")
    group = Unit([replace(root(), advantages=[0.0] * 5), replace(root(), member=1)], "group")

    def unused(*_: object) -> np.ndarray:
        raise AssertionError

    data = experience([group, pair], algorithm("reinforce"), Passes(None, None, None), unused, skip=True)
    assert data.table.block.tolist() == [0, 1, 2, 2]
    assert data.moving.tolist() == [False, True, True, True]
    assert data.computed.tolist() == [1, 2, 3]
