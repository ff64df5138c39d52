"""How long a plan takes."""

from __future__ import annotations

from espalier.robots.swarm.compare.timing import time_plans


def test_times_of_plans() -> None:
    """Milliseconds of 5 and 9 vehicles, all of them more than nothing, and the plans that were counted."""
    few, more = time_plans((5, 9), 1.5)
    assert (few.n, more.n) == (5, 9)
    assert (few.plans, more.plans) == (10, 18), "each plans three times, of which the first does not count"
    for one in (few, more):
        assert 0.0 < one.ms <= one.p95
        assert 0.0 < one.register_ms < 1000.0
        assert 0.0 < one.look_ms < one.p95
        assert 0.0 < one.read_ms < 1000.0
