"""Right answers that are the same solution have one form, and no others have."""

from collections.abc import Iterator, Sequence
from itertools import product
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.envs.arithmetic import LONGEST, canonical, evaluate, numbers
from espalier.envs.catalogue.countdown import Countdown, CountdownConfig
from espalier.envs.catalogue.reverse import Reverse, ReverseConfig

COUNTDOWN = Countdown(CountdownConfig(), 0)
Tree = int | tuple["Tree", str, "Tree"]


def text(tree: Tree) -> str:
    if isinstance(tree, int):
        return str(tree)
    left, sign, right = tree
    return f"({text(left)}{sign}{text(right)})"


def turned(tree: Tree, random: Random) -> Tree:
    """The operands of sums and products changed about, here and there."""
    if isinstance(tree, int):
        return tree
    left, sign, right = turned(tree[0], random), tree[1], turned(tree[2], random)
    return (right, sign, left) if sign in "+*" and random.random() < 0.5 else (left, sign, right)


def trees(given: Sequence[int], signs: str) -> Iterator[Tree]:
    """All expressions of the numbers, each once, with parentheses around every operation."""
    if len(given) == 1:
        yield given[0]
    for mask in range(1, 2 ** len(given) - 1):
        left = [number for place, number in enumerate(given) if mask >> place & 1]
        right = [number for place, number in enumerate(given) if not mask >> place & 1]
        yield from product(trees(left, signs), signs, trees(right, signs))


TREES = st.recursive(st.integers(0, 30), lambda inner: st.tuples(inner, st.sampled_from("+-*/"), inner), max_leaves=8)


@given(TREES, st.integers(0, 999))
def test_a_form_is_the_same_solution_and_a_right_answer(tree: Tree, seed: int):
    written = text(tree)
    form = canonical(written)
    assert canonical(form) == form
    assert sorted(numbers(form)) == sorted(numbers(written))
    assert len(form) <= len(written) <= LONGEST
    assert canonical(text(turned(tree, Random(seed)))) == form
    try:
        value = evaluate(written)
    except ValueError:  # division by zero
        return
    assert evaluate(form) == value


@pytest.mark.parametrize(
    ("same", "form"),
    [
        (["25+3*7", "7*3+25", "(3*7)+25", " 25 + (7*3) "], "25+3*7"),
        (["9-(4-2)", "2+9-4", "(9-4)+2", "9+2-4"], "2+9-4"),
        (["6/(2/4)", "6*4/2", "4/2*6", "(6/2)*4"], "4*6/2"),
        (["(1+2)*(5-3)", "(5-3)*(2+1)"], "(1+2)*(5-3)"),
        (["10-2-3", "10-3-2", "10-(2+3)"], "10-2-3"),
        (["12/2/3", "12/(3*2)"], "12/2/3"),
    ],
)
def test_forms_by_hand(same: list[str], form: str):
    assert {canonical(written) for written in same} == {form}


def test_other_solutions_have_other_forms():
    different = ["2*(3+4)", "2*3+2*4", "6*1", "6/1", "6+1-1", "(5-3)*2", "(3-5)*2", "1+2+3", "1*2*3"]
    assert len({canonical(written) for written in different}) == len(different)


@pytest.mark.parametrize(
    ("count", "signs", "known"),
    [(2, "+-*/", 6), (3, "+-*/", 68), (2, "+*", 2), (3, "+*", 8), (4, "+*", 52)],
)
def test_forms_of_all_expressions_are_as_many_as_are_known(count: int, signs: str, known: int):
    """OEIS A140606 for the four operations, A006351 for sums and products."""
    assert len({canonical(text(tree)) for tree in trees([2, 3, 5, 7][:count], signs)}) == known


@pytest.mark.parametrize(
    ("given", "target", "count"),
    [
        ((1, 2, 3), 6, 3),  # 1+2+3 1*2*3 2*3/1
        ((2, 4, 6), 8, 3),  # 4+6-2 2*6-4 6+4/2
        ((2, 3, 4), 24, 1),
        ((3, 7, 25), 46, 1),
    ],
)
def test_different_solutions_of_an_instance_are_counted_by_brute_force(given: tuple[int, ...], target: int, count: int):
    """Two expressions are one solution if they have one value whatever the numbers are: they are, at large numbers."""
    large = dict(zip(given, (1_000_003, 10_007_777, 104_729_111), strict=True))
    data = {"numbers": list(given), "target": target}
    right = [tree for tree in trees(given, "+-*/") if COUNTDOWN.verify(data, text(tree))]
    functions = {evaluate(text(replaced(tree, large))) for tree in right}
    forms = {COUNTDOWN.canonical_answer(data, text(tree)) for tree in right}
    assert len(forms) == len(functions) == count
    assert all(COUNTDOWN.verify(data, form) for form in forms)


def replaced(tree: Tree, by: dict[int, int]) -> Tree:
    return by[tree] if isinstance(tree, int) else (replaced(tree[0], by), tree[1], replaced(tree[2], by))


@pytest.mark.parametrize("answer", ["", "1+", "1.5", "2**3", "(1,2)", "f(1)", "-3", "1" * 1_000_000])
def test_what_is_no_expression_is_returned_stripped(answer: str):
    assert COUNTDOWN.canonical_answer({"numbers": [1], "target": 1}, f" {answer}\n") == answer
    with pytest.raises(ValueError):  # noqa: PT011 - each has its own words
        canonical(answer)


def test_other_sets_strip_white_space():
    assert Reverse(ReverseConfig(), 0).canonical_answer({"word": "ab"}, " ba\n") == "ba"
