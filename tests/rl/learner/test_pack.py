import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from espalier.rl.learner.batches.pack import PackError, columns, pack
from espalier.rl.trajectory import Trajectory

CPU = torch.device("cpu")


def row(prompt: list[int], answer: list[int], version: int = 3) -> Trajectory:
    result = Trajectory("task", "key")
    result.observe(prompt)
    result.sample(answer, [-0.5 * (i + 1) for i in range(len(answer))], [version] * len(answer))
    return result


def test_columns_and_a_micro_batch_by_hand() -> None:
    rows = [row([1, 2], [3, 4]), row([5], [6, 7, 8]), row([9, 9, 9], [1])]
    table = columns(rows)
    assert table.offsets.tolist() == [0, 4, 8, 12]
    assert table.behave.tolist() == [0, 0, -0.5, -1, 0, -0.5, -1, -1.5, 0, 0, 0, -0.5]
    assert table.versions[:4].tolist() == [-1, -1, 3, 3]

    batch = pack(table, [2, 0], CPU)
    assert batch.lengths == [4, 4]
    assert batch.tokens.tolist() == [9, 9, 9, 1, 1, 2, 3, 4]
    assert batch.positions.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    assert batch.policy.tolist() == [3, 6, 7]
    assert batch.rows(batch.policy).tolist() == [0, 1, 1]
    assert batch.gather(table.behave, batch.policy).tolist() == [-0.5, -0.5, -1.0]
    assert batch.ce.tolist() == []


def test_streams_default_to_the_mask_and_ce_to_nothing() -> None:
    plain, demonstration, mixed = row([1], [2, 3]), row([8], []), row([9], [2, 3])
    demonstration.observe([2, 3], "assistant")
    demonstration.weights = {"ce": [0, 1, 0.5]}
    mixed.weights = {"rl": [0, 0, 2], "ce": [0, 1, 0], "ref": [0, 0, 0]}
    table = columns([plain, demonstration, mixed])
    assert table.rl.tolist() == [0, 1, 1, 0, 0, 0, 0, 0, 2]
    assert table.ref.tolist() == [0, 1, 1, 0, 0, 0, 0, 0, 0]
    assert table.ce.tolist() == [0, 0, 0, 0, 1, 0.5, 0, 1, 0]
    batch = pack(table, [0, 1, 2], CPU)
    assert batch.policy.tolist() == [1, 2, 8]
    assert batch.ce.tolist() == [4, 5, 7]


def test_what_rows_begin_with_alike_is_computed_once() -> None:
    group = [row([1, 2, 3], [4, 5]), row([1, 2, 3], [6]), row([1, 2], [3, 7])]
    batch = pack(columns(group), [0, 1, 2], CPU)
    assert batch.tokens.tolist() == [4, 5, 6, 1, 2, 3, 7]  # the last row trains the 3
    assert batch.positions.tolist() == [3, 4, 3, 0, 1, 2, 3]
    assert batch.flat.tolist() == [3, 4, 5, 0, 1, 3, 4, 5, 2, 3, 4, 5, 6]
    assert batch.policy.tolist() == [0, 1, 2, 5, 6]
    assert batch.predictors(batch.policy).tolist() == [5, 0, 5, 4, 5]
    assert batch.rows(batch.policy).tolist() == [0, 0, 1, 2, 2]


def test_a_fork_shares_what_its_parent_trains() -> None:
    parent = row([1, 2], [3, 4])
    child = parent.fork(3, 1)
    child.sample([5], [-1.0], [3])
    grandchild = child.fork(4, 2)
    grandchild.sample([6], [-1.0], [3])
    batch = pack(columns([grandchild, child, parent]), [0, 1, 2], CPU)
    assert batch.tokens.tolist() == [6, 5, 1, 2, 3, 4]
    assert batch.flat.tolist() == [2, 3, 4, 1, 0, 2, 3, 4, 1, 2, 3, 4, 5]
    assert [batch.tokens[i].item() for i in batch.policy] == [6, 5, 3, 4]


@given(st.lists(st.integers(1, 9), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_any_order_of_rows_round_trips(lengths: list[int], random: object) -> None:
    rows = [row([100 + i], list(range(n))) for i, n in enumerate(lengths)]
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    table = columns(rows)
    batch = pack(table, order, CPU)
    pieces = batch.tokens.split(batch.lengths)
    assert [piece.tolist() for piece in pieces] == [rows[i].tokens for i in order]
    values = [[float(i) + t / 16 for t in range(len(r.tokens))] for i, r in enumerate(rows)]
    column = table.spread(values)
    assert table.split(column) == values
    everywhere = np.arange(len(batch.tokens))
    assert batch.gather(column, everywhere).tolist() == [v for i in order for v in values[i]]


def test_errors_name_what_is_wrong() -> None:
    first = row([1], [2])
    first.weights = {"ce": [1, 1]}
    with pytest.raises(PackError, match="first token"):
        columns([first])
    short = row([1], [2])
    short.logprobs.pop()
    with pytest.raises(PackError, match="not aligned"):
        columns([short])


def test_no_rows_and_empty_rows() -> None:
    assert len(columns([]).tokens) == 0
    table = columns([Trajectory("t", "k"), row([1], [2])])
    assert pack(table, [1], CPU).tokens.tolist() == [1, 2]
