import math

from hypothesis import given
from hypothesis import strategies as st

from espalier.core.report.series import MAX_POINTS, curve, finite, matching, stack, thin, total
from espalier.core.tracking.metrics import Point


def points(*pairs: tuple[int, float]) -> list[Point]:
    return [Point(step, value, 0.0) for step, value in pairs]


def test_patterns_keep_their_order_and_leave_bands_out() -> None:
    names = ["b/y", "a/x_lo", "a/x_hi", "a/x", "c"]
    assert matching(["c", "a/*", "none", "a/*"], names, without=("_lo", "_hi")) == ["c", "a/x"]
    assert matching(["a/x_lo"], names, without=("_lo",)) == ["a/x_lo"], "an exact name is taken at its word"


def test_a_curve_joins_its_band_by_step() -> None:
    history = {"a": points((3, 1.0), (1, 0.5), (3, 2.0)), "a-": points((3, 1.5)), "a+": points((1, 0.6), (3, math.inf))}
    assert curve(history, "a", ("-", "+")) == {
        "steps": [1, 3],
        "seconds": [0.0, 0.0],
        "values": [0.5, 2.0],
        "lo": [None, 1.5],
        "hi": [0.6, None],
    }


def test_a_stack_has_common_steps_and_magnitudes() -> None:
    history = {"a": points((1, -2.0), (2, 4.0)), "b": points((2, 1.0), (3, math.nan))}
    assert stack(history, ["a", "b"]) == {"steps": [1, 2, 3], "values": {"a": [2.0, 4.0, 0.0], "b": [0.0, 1.0, 0.0]}}


def test_a_long_stack_is_averaged_in_bins() -> None:
    stacked = stack({"a": points(*((i, float(i % 2)) for i in range(10_000)))}, ["a"])
    assert len(stacked["steps"]) <= MAX_POINTS // 4
    assert set(stacked["values"]["a"][:-1]) == {0.5}


@given(st.lists(st.floats(allow_nan=False), min_size=1, max_size=400), st.integers(10, 100))
def test_thinning_keeps_the_extremes_the_ends_and_the_order(values: list[float], limit: int) -> None:
    whole = points(*enumerate(values))
    kept = thin(whole, limit)
    assert len(kept) <= limit + 2
    assert {max(values), min(values)} <= {p.value for p in kept}
    assert kept[-1] == whole[-1]
    assert [p.step for p in kept] == sorted({p.step for p in kept})


def test_totals_and_rounding() -> None:
    assert total({"a": points((1, 1.5), (2, math.nan), (3, 2.0))}, "a") == 3.5
    assert (finite(0.123456789), finite(math.inf), finite(None)) == (0.12346, None, None)
