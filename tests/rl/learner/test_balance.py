import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from espalier.rl.learner.balance import microbatches, slices

lengths_of = st.lists(st.integers(1, 300), max_size=200)


@given(lengths_of, st.integers(1, 1000))
def test_every_row_once_within_the_budget(lengths: list[int], budget: int) -> None:
    pieces = microbatches(lengths, budget)
    assert sorted(i for piece in pieces for i in piece) == list(range(len(lengths)))
    for piece in pieces:
        assert len(piece) == 1 or sum(lengths[i] for i in piece) <= budget
    assert pieces == microbatches(lengths, budget)


@given(st.lists(st.integers(20, 60), min_size=50, max_size=200))
def test_pieces_are_alike_in_tokens_and_sorted_by_length(lengths: list[int]) -> None:
    pieces = microbatches(lengths, 1000)
    sums = [sum(lengths[i] for i in piece) for piece in pieces]
    assert len(pieces) <= sum(lengths) // 1000 + 2
    assert max(sums) - min(sums) <= 2 * 60
    flat = [lengths[i] for piece in pieces for i in piece]
    assert flat == sorted(flat, reverse=True)


def test_by_hand() -> None:
    assert microbatches([1, 5, 2, 4], 6) == [[1], [3], [2, 0]]
    assert microbatches([4, 1, 3, 2], 5) == [[0], [2], [3, 1]]
    assert microbatches([3, 3], 100) == [[0, 1]]
    assert microbatches([], 10) == []
    assert microbatches([50], 10) == [[0]]


@given(st.integers(0, 50), st.integers(1, 8))
def test_slices_are_disjoint_and_even(rows: int, parts: int) -> None:
    pieces = slices(rows, parts, np.random.default_rng(0))
    assert sorted(i for piece in pieces for i in piece) == list(range(rows))
    sizes = [len(piece) for piece in pieces]
    assert not sizes or max(sizes) - min(sizes) <= 1
    assert pieces == slices(rows, parts, np.random.default_rng(0))
