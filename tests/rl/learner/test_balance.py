import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from espalier.rl.learner import balance
from espalier.rl.learner.balance import blocks_of

lengths_of = st.lists(st.integers(1, 300), max_size=200)


def microbatches(lengths: list[int], budget: int) -> list[list[int]]:
    return balance.microbatches([[i] for i in range(len(lengths))], lengths, budget)


def slices(rows: int, parts: int, order: np.random.Generator) -> list[list[int]]:
    return balance.slices([[i] for i in range(rows)], parts, order)


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


labels_of = st.lists(st.integers(0, 5), min_size=1, max_size=40)


@given(labels_of, st.integers(1, 6), st.integers(1, 200))
def test_rows_of_a_block_stay_together(labels: list[int], parts: int, budget: int) -> None:
    blocks, lengths = blocks_of(labels), [7 * (i % 5) + 1 for i in range(len(labels))]
    dealt = balance.slices(blocks, parts, np.random.default_rng(1))
    for pieces in (dealt, balance.microbatches(blocks, lengths, budget)):
        assert sorted(i for piece in pieces for i in piece) == list(range(len(labels)))
        for block in blocks:
            assert sum(not set(block).isdisjoint(piece) for piece in pieces) == 1


def test_blocks_by_hand() -> None:
    assert blocks_of([4, 2, 4, 9]) == [[0, 2], [1], [3]]
    assert balance.microbatches([[0, 2], [1], [3]], [3, 9, 4, 1], 9) == [[1], [0, 2, 3]]
