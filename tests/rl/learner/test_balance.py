import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from espalier.rl.learner.batches import balance
from espalier.rl.learner.batches.balance import blocks_of
from espalier.rl.learner.ranks.ranks import ProcessGroup

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


def greedy(lengths: list[int], budget: int) -> int:
    """Number of pieces when rows are taken in turn, the longest first, as long as they fit."""
    count, used = 0, budget
    for length in sorted(lengths, reverse=True):
        if used + length > budget:
            count, used = count + 1, 0
        used += length
    return count


@given(st.lists(st.integers(20, 60), min_size=50, max_size=200))
def test_pieces_are_alike_in_tokens_and_sorted_by_length(lengths: list[int]) -> None:
    pieces = microbatches(lengths, 1000)
    sums = [sum(lengths[i] for i in piece) for piece in pieces]
    assert len(pieces) <= sum(lengths) // 1000 + 2
    assert max(sums) - min(sums[:-1], default=max(sums)) < 60, "only the last piece has room for another row"
    assert greedy(lengths, max(sums) - 1) > len(pieces), "no smaller budget does with as many pieces"
    flat = [lengths[i] for piece in pieces for i in piece]
    assert flat == sorted(flat, reverse=True)


def test_by_hand() -> None:
    assert microbatches([1, 5, 2, 4], 6) == [[1], [3], [2, 0]]
    assert microbatches([4, 1, 3, 2], 5) == [[0], [2], [3, 1]]
    assert microbatches([3, 3], 100) == [[0, 1]]
    assert microbatches([], 10) == []
    assert microbatches([50], 10) == [[0]]


def cost(piece: list[int], lengths: list[int], stems: list[tuple[int, int]]) -> int:
    """Tokens that a piece computes: each stem once."""
    return sum(lengths[i] - stems[i][1] for i in piece) + sum(dict(stems[i] for i in piece).values())


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 50)), max_size=120), st.integers(1, 400))
def test_a_stem_counts_once_in_a_piece(rows: list[tuple[int, int]], budget: int) -> None:
    stems = [(label, 10 * label) for label, _ in rows]
    lengths = [10 * label + own + 1 for label, own in rows]
    pieces = balance.microbatches([[i] for i in range(len(rows))], lengths, budget, stems)
    assert sorted(i for piece in pieces for i in piece) == list(range(len(rows)))
    for piece in pieces:
        assert len(piece) == 1 or cost(piece, lengths, stems) <= budget
    order = [label for piece in pieces for label in (stems[i][0] for i in piece)]
    assert len(set(order)) == sum(a != b for a, b in zip([None, *order], order, strict=False)), "stems are neighbours"


def test_groups_with_one_prompt_each_by_hand() -> None:
    """Two groups of three rows of 10 tokens, 8 of them prompt: 10 + 2 x (2 + 8 / 8) = 16 tokens a group."""
    lengths, stems = [10] * 6, [(0, 8), (1, 8)] * 3
    alone = [[i] for i in range(6)]
    assert balance.microbatches(alone, lengths, 32, stems) == [[0, 2, 4, 1, 3, 5]]
    assert balance.microbatches(alone, lengths, 16, stems) == [[0, 2, 4], [1, 3, 5]]
    assert balance.microbatches(alone, lengths, 10, stems) == [[i] for i in (0, 2, 4, 1, 3, 5)]
    assert balance.microbatches([[0, 1, 2], [3, 4, 5]], lengths, 22, stems) == [[0, 1, 2], [3, 4, 5]]


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


@given(lengths_of, st.integers(1, 1000), st.integers(1, 5))
def test_every_rank_has_a_piece_of_its_own_where_there_are_rows(lengths: list[int], budget: int, ranks: int) -> None:
    pieces = balance.microbatches([[i] for i in range(len(lengths))], lengths, budget, ranks=ranks)
    assert sorted(i for piece in pieces for i in piece) == list(range(len(lengths)))
    assert all(len(piece) == 1 or sum(lengths[i] for i in piece) <= budget for piece in pieces)
    least = len(microbatches(lengths, budget))
    assert len(pieces) == min(ranks * -(-least // ranks), len(lengths))


@given(st.lists(st.integers(0, 99), max_size=20), st.integers(1, 6))
def test_ranks_share_the_pieces_in_equal_numbers(pieces: list[int], size: int) -> None:
    shares = []
    for rank in range(size):
        group = ProcessGroup.__new__(ProcessGroup)
        group.rank, group.size = rank, size
        shares.append(group.share(pieces))
    assert len({len(share) for share in shares}) == 1
    assert sorted(piece for share in shares for piece, counts in share if counts) == sorted(pieces)
    assert all(piece in pieces for share in shares for piece, _ in share)
