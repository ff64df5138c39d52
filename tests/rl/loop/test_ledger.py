import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.rl.loop.ledger import Indices, Ledger


@given(st.lists(st.integers(0, 40), unique=True))
def test_indices_are_a_set_in_as_few_ranges_as_possible(numbers: list[int]):
    indices = Indices()
    for number in numbers:
        indices.add(number)
    assert list(indices) == sorted(numbers)
    assert len(indices) == len(numbers)
    assert all(number in indices for number in numbers)
    assert not any(number in indices for number in range(-1, 42) if number not in numbers)
    ends = [number for number in numbers if number + 1 not in numbers]
    assert len(indices.ranges) == len(ends)
    assert list(Indices(indices.ranges)) == sorted(numbers)


def test_a_number_is_added_once():
    indices = Indices([[0, 3]])
    with pytest.raises(ValueError, match="2 is already in the set"):
        indices.add(2)


def test_a_group_has_one_fate():
    ledger = Ledger()
    ledger.start(0, version=0)
    with pytest.raises(RuntimeError, match="group 0 was started twice"):
        ledger.start(0, version=0)
    ledger.accept(0)
    with pytest.raises(RuntimeError, match="group 0 was started twice"):
        ledger.start(0, version=0)
    with pytest.raises(RuntimeError, match="group 0 ended and was not running"):
        ledger.end(0, "failed")
    ledger.end(0, "trained")
    with pytest.raises(RuntimeError, match="group 0 is trained and was not waiting"):
        ledger.end(0, "trained")
    with pytest.raises(RuntimeError, match="group 0 was started twice"):
        ledger.start(0, version=3)
    assert ledger.fate(0) == "trained"
    assert ledger.fate(1) is None


@given(st.lists(st.sampled_from(["start", "accept", "train", "filter", "fail", "drop", "resume"]), max_size=80))
def test_nothing_is_lost_whenever_the_state_is_saved(choices: list[str]):
    ledger, issued = Ledger(), 0
    for choice in choices:
        if choice == "start":
            index = ledger.interrupted[0] if ledger.interrupted else issued
            issued = max(issued, index + 1)
            ledger.start(index, version=0)
        elif choice == "accept" and ledger.running:
            ledger.accept(min(ledger.running))
        elif choice in ("filter", "fail") and ledger.running:
            ledger.end(max(ledger.running), "filtered" if choice == "filter" else "failed")
        elif choice in ("train", "drop") and ledger.waiting:
            ledger.end(min(ledger.waiting), "trained" if choice == "train" else "stale")
        elif choice == "resume":
            ledger = Ledger(ledger.save())
            assert not ledger.running
        saved = {state: list(Indices(ranges)) for state, ranges in ledger.save().items()}
        assert sorted(index for indices in saved.values() for index in indices) == list(range(issued))
        assert saved["running"] == sorted([*ledger.running, *ledger.interrupted])
