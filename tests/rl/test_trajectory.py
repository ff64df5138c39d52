import json

import pytest

from espalier.rl.trajectory import Status, Trajectory


def row() -> Trajectory:
    row = Trajectory("sort", "k1", group=3, member=1)
    row.observe([5, 6, 7], "prompt")
    row.sample([8, 9], [-0.5, -1.5], [2, 3])
    row.observe([4], "tool")
    row.sample([1], [-0.25], [3])
    return row


def test_lists_stay_aligned_and_mask_marks_what_was_sampled():
    r = row()
    r.check()
    assert r.tokens == [5, 6, 7, 8, 9, 4, 1]
    assert r.mask == [False, False, False, True, True, False, True]
    assert r.logprobs == [0.0, 0.0, 0.0, -0.5, -1.5, 0.0, -0.25]
    assert r.versions == [-1, -1, -1, 2, 3, -1, 3]
    assert [(t.start, t.end, t.role) for t in r.turns] == [
        (0, 3, "prompt"),
        (3, 5, "assistant"),
        (5, 6, "tool"),
        (6, 7, "assistant"),
    ]
    assert r.sampled == 3


def test_lag_counts_from_the_oldest_token():
    assert row().lag(5) == 3
    assert Trajectory("sort", "k").lag(7) == 0


def test_fork_shares_the_prefix_as_context():
    child = row().fork(4, 2)
    child.check()
    assert child.tokens == [5, 6, 7, 8]
    assert not any(child.mask)
    assert child.origin == (1, 4)
    assert child.member == 2
    assert [(t.start, t.end) for t in child.turns] == [(0, 3), (3, 4)]
    child.sample([2], [-1.0], [4])
    assert row().tokens == [5, 6, 7, 8, 9, 4, 1]


@pytest.mark.parametrize("at", [0, 8, -1])
def test_fork_outside_the_row_is_refused(at: int):
    with pytest.raises(ValueError, match="cannot fork"):
        row().fork(at, 2)


def test_sample_refuses_lists_of_different_length():
    with pytest.raises(ValueError, match="2 ids, 1 logprobs and 2 versions"):
        row().sample([1, 2], [-0.5], [0, 0])


def test_check_names_what_is_wrong():
    r = row()
    r.logprobs[3] = float("nan")
    with pytest.raises(ValueError, match="k1: logprobs holds a value that is not finite"):
        r.check()
    r = row()
    r.advantages = [0.0]
    with pytest.raises(ValueError, match="advantages has 1 entries for 7 tokens"):
        r.check()
    r = Trajectory("sort", "k2")
    r.sample([1], [-1.0], [0])
    with pytest.raises(ValueError, match="first token"):
        r.check()


def test_json_round_trip():
    r = row()
    r.status, r.origin, r.weights = Status.TRUNCATED, (0, 2), {"ce": [0.0] * 7}
    assert Trajectory.from_json(json.loads(json.dumps(r.to_json()))) == r


def test_a_turn_that_was_interrupted_goes_on():
    row = Trajectory("toy", "k")
    row.observe([1, 2], "prompt")
    row.sample([3, 4], [-0.1, -0.2], [0, 0])
    row.sample([5], [-0.3], [1])
    assert [(turn.role, turn.start, turn.end) for turn in row.turns] == [("prompt", 0, 2), ("assistant", 2, 5)]
    assert row.versions == [-1, -1, 0, 0, 1]


def test_a_fork_may_train_what_it_shares():
    row = Trajectory("toy", "k")
    row.observe([1, 2], "prompt")
    row.sample([3, 4, 5], [-0.1, -0.2, -0.3], [0, 0, 0])
    assert row.fork(4, 1).mask == [False] * 4
    fork = row.fork(4, 1, trained=True)
    fork.sample([6], [-0.4], [0])
    assert fork.mask == [False, False, True, True, True]
    assert fork.logprobs == [0.0, 0.0, -0.1, -0.2, -0.4]
    assert (fork.origin, fork.sampled) == ((0, 4), 3)
    assert [(turn.role, turn.start, turn.end) for turn in fork.turns] == [("prompt", 0, 2), ("assistant", 2, 5)]
    assert row.turns[-1].end == 5
