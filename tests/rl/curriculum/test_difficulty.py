"""Estimates of difficulty, and the weights that follow from them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.rl.curriculum.difficulty import Difficulty, weight

RATES = st.floats(0.0, 1.0)


def test_a_worked_case():
    """0.5, then 0.7 * 0.5 + 0.3 * mean(1, 0.5), then no visit."""
    found = Difficulty(0.7)
    assert found.rate("easy") == 0.5
    found.see("easy", 1.0)
    found.see("easy", 0.5)
    assert found.rate("easy") == 0.5, "updated once a step"
    found.advance()
    assert found.rate("easy") == pytest.approx(0.35 + 0.3 * 0.75)
    found.advance()
    assert found.rate("easy") == pytest.approx(0.575)
    assert found.rate("hard") == 0.5


def test_a_task_is_its_tier_until_it_was_tried():
    found = Difficulty(0.7, {"algebra": 0.2})
    assert found.rate("algebra", "k") == pytest.approx(0.2)
    found.see("algebra", 1.0, "k")
    found.advance()
    tier = 0.7 * 0.2 + 0.3 * 1.0
    assert found.rate("algebra", "k") == pytest.approx((1.0 + tier) / 2)
    assert found.rate("algebra", "other") == pytest.approx(tier)
    found.see("algebra", 0.0, "k")
    found.advance()
    tier *= 0.7
    assert found.rate("algebra", "k") == pytest.approx((2 * 0.7 + tier) / 3)


@pytest.mark.parametrize(
    ("rate", "guess", "expected"),
    [(0.5, 0.0, 1.05), (0.0, 0.0, 0.05), (1.0, 0.0, 0.05), (0.25, 0.25, 0.05), (0.625, 0.25, 1.05), (0.1, 0.25, 0.05)],
)
def test_weights(rate: float, guess: float, expected: float):
    assert weight(rate, guess, 0.05) == pytest.approx(expected)


@given(RATES, st.floats(0.0, 0.9), st.floats(0.01, 1.0))
def test_no_task_has_less_than_the_floor(rate: float, guess: float, floor: float):
    assert floor <= weight(rate, guess, floor) <= 1.0 + floor + 1e-9


@given(st.lists(st.tuples(st.sampled_from("ab"), RATES, st.sampled_from(["", "k"])), max_size=20), st.integers(0, 19))
def test_what_is_saved_goes_on_as_before(seen: list[tuple[str, float, str]], at: int):
    whole, part = Difficulty(0.7), Difficulty(0.7)
    for place, (tier, rate, task) in enumerate(seen):
        whole.see(tier, rate, task)
        part.see(tier, rate, task)
        if place == at:
            part = Difficulty(0.7, saved=part.save())
        if place % 3 == 2:
            whole.advance()
            part.advance()
    assert whole.save() == part.save()
    assert all(0.0 <= whole.rate(tier, "k") <= 1.0 for tier in "ab")
