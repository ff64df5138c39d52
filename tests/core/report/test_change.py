import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from espalier.core.report.blocks import Headline
from espalier.core.report.change import change, changed, headline
from espalier.core.tracking.metrics import History, Point


def history(*rows: tuple[int, float, float, float]) -> History:
    columns = {"eval": 1, "eval_lo": 2, "eval_hi": 3}
    return {name: [Point(int(row[0]), row[i], 0.0) for row in rows] for name, i in columns.items()}


def test_the_interval_of_a_difference_by_hand() -> None:
    """0.3 [0.2, 0.6] to 0.8 [0.4, 0.9]: 0.5 - sqrt(0.4^2 + 0.3^2) = 0, 0.5 + sqrt(0.1^2 + 0.1^2) = 0.6414."""
    found = change((0.3, 0.2, 0.6), (0.8, 0.4, 0.9))
    assert found.lo == pytest.approx(0.0, abs=1e-12)
    assert found.hi == pytest.approx(0.5 + math.sqrt(0.02))


def test_newcombes_own_example() -> None:
    """Newcombe 1998, table II, (a): 56/70 against 48/80 by Wilson's score, method 10: 0.0524 to 0.3339."""

    def wilson(right: int, of: int) -> tuple[float, float, float]:
        p, z = right / of, 1.959964
        middle, half = p + z * z / (2 * of), z * math.sqrt(p * (1 - p) / of + z * z / (4 * of * of))
        return p, (middle - half) / (1 + z * z / of), (middle + half) / (1 + z * z / of)

    found = change(wilson(48, 80), wilson(56, 70))
    assert (found.lo, found.hi) == (pytest.approx(0.0524, abs=5e-5), pytest.approx(0.3339, abs=5e-5))


@pytest.mark.parametrize(
    ("last", "higher", "verdict", "good"),
    [
        ((9, 0.9, 0.85, 0.95), True, "rose", True),
        ((9, 0.1, 0.05, 0.15), True, "fell", False),
        ((9, 0.9, 0.85, 0.95), False, "rose", False),
        ((9, 0.1, 0.05, 0.15), False, "fell", True),
        ((9, 0.55, 0.45, 0.65), True, "no clear change", None),
        ((9, 0.45, 0.35, 0.55), True, "no clear change", None),
    ],
)
def test_word_and_colour_follow_sign_and_interval(
    last: tuple[int, float, float, float], higher: bool, verdict: str, good: bool | None
) -> None:
    found = headline(Headline("x", "eval", higher_is_better=higher), history((0, 0.5, 0.4, 0.6), last))
    assert found is not None
    assert (found["verdict"], found["good"]) == (verdict, good)


def test_without_a_band_the_sign_decides_and_one_point_is_no_change() -> None:
    assert changed({"eval": [Point(1, 0.5, 0.0)]}, "eval") is None
    found = changed({"eval": [Point(1, 0.5, 0.0), Point(2, 0.4, 0.0), Point(3, math.nan, 0.0)]}, "eval")
    assert found is not None
    assert (found.verdict, found.lo, found.after) == ("fell", None, 0.4)


Share = st.floats(0, 1)


@given(st.lists(Share, min_size=6, max_size=6))
def test_the_interval_holds_the_difference_and_turns_with_it(values: list[float]) -> None:
    (l1, p1, u1), (l2, p2, u2) = sorted(values[:3]), sorted(values[3:])
    there, back = change((p1, l1, u1), (p2, l2, u2)), change((p2, l2, u2), (p1, l1, u1))
    numbers = [value for value in (there.lo, there.hi, back.lo, back.hi) if value is not None]
    low, high, back_low, back_high = numbers
    assert low <= there.gain <= high
    assert low == pytest.approx(-back_high)
    assert high == pytest.approx(-back_low)
