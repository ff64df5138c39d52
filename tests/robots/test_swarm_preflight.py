"""Flights that cannot begin or end are refused, with the place that is wrong; and which vehicles fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from espalier.cli.jobs import find_job
from espalier.core.errors import ConfigError
from espalier.core.recipe.resolve import load_recipe
from espalier.robots.swarm.api import save, vehicle
from espalier.robots.swarm.fleet.config import FlightConfig
from espalier.robots.swarm.fleet.failures import fates
from espalier.robots.swarm.fleet.simulate import simulate

GAP = {"kind": "gap", "length_m": 20, "width_m": 24, "gap_m": 6, "approach_m": 24}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"goal": (0, 0, 0.1)}, r"goal: the lowest place is at z = 0.10 m, below floor_m, 0.3; .* by 0.20 m"),
        ({"start": (-22.5, 0, 0.2)}, "start: the lowest place"),
        ({"shape": {"kind": "text", "words": "HI"}, "n": 24, "goal": (0, 0, 3)}, "goal: the lowest place"),
        ({"acts": [{"at_s": 0.5, "shape": "ring", "goal": (0, 0, -1)}]}, r"acts.0.goal: the lowest place"),
        ({"planner": {"trajectory": {"limits": {"ceiling_m": 1.2}}}}, "goal: the highest place is at z = 1.50"),
        ({"goal": (200, 0, 1.5)}, r"goal: 4 places are outside of the world, the first at x = 199.0, y = -1.0"),
        ({"start": (-22.5, 16.5, 1.5)}, "start: 2 places are outside"),
        ({"world": GAP, "goal": (1, 8, 1.5)}, "goal: 2 places are in obstacles or too near"),
        ({"spacing_m": 0.4}, "goal: two places are 0.40 m apart.*separation_m, 0.5; widen spacing_m"),
        ({"shape": "cube", "n": 8, "spacing_m": 0.9}, "goal: two places are 0.45 m apart, height counting half"),
        (
            {"spacing_m": 0.6, "scatter_m": 0.01, "start": (-22.5, 16.9, 1.5)},
            "scatter_m: there is no free start",
        ),
    ],
)
def test_what_cannot_be_is_refused(settings: dict[str, object], says: str) -> None:
    base = {"n": 4, "shape": "grid", "goal": (0.0, 0.0, 1.5), "seconds": 1.0}
    with pytest.raises(ConfigError, match=says):
        simulate(FlightConfig.of(**{**base, **settings}), 0)


def test_a_scattered_start_is_scattered_and_safe() -> None:
    config = FlightConfig.of(n=36, shape="grid", scatter_m=2.0, seconds=0.05)
    begin = simulate(config, 3).recording.positions[0]
    slots = simulate(config.model_copy(update={"scatter_m": 0.0}), 3).recording.positions[0]
    off = begin - slots
    assert np.abs(off[:, :2]).max() <= 2.0
    assert np.abs(off[:, :2]).mean() > 0.8
    assert (off[:, 2] == 0.0).all()
    assert pdist(begin).min() >= 0.5


def test_named_vehicles_fail_and_the_drawn_are_others() -> None:
    config = FlightConfig.of(n=10, failures=[{"share": 0.3}, {"kind": "crash", "vehicles": [2, 7]}])
    for seed in range(20):
        found = fates(10, config.failures, np.random.default_rng(seed))
        assert {k for k, one in found.items() if one.kind == "crash"} == {2, 7}
        assert sum(one.kind == "freeze" for one in found.values()) == 3
    for wrong in ([{"vehicles": [10]}], [{"vehicles": [1, 1]}], [{"share": 0.6}, {"share": 0.6}]):
        with pytest.raises(ConfigError, match="failures"):
            FlightConfig.of(n=10, failures=wrong)


def test_an_act_that_never_comes_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"acts: the last begins at 30 s, but the flight ends at 20 s"):
        FlightConfig.of(seconds=20, acts=[{"at_s": 30, "shape": "ring", "goal": (0, 0, 2)}])


def test_a_vehicle_that_is_to_be_embedded_is_refused_a_goal_that_cannot_be() -> None:
    with pytest.raises(ConfigError, match=r"goal: the lowest place is at z = 0\.10 m"):
        vehicle(0, (0.0, 0.0, 1.5), n=4, shape="grid", goal=(0.0, 0.0, 0.1))


def test_starts_are_scattered_in_a_disc() -> None:
    """Of 1.5 m, evenly: half of them beyond 1.5 / sqrt(2) m."""
    settings = {
        "n": 100,
        "shape": "grid",
        "spacing_m": 4.0,
        "scatter_m": 1.5,
        "seconds": 0.05,
        "start": (0.0, 0.0, 1.5),
    }
    world = {"kind": "open", "length_m": 60, "width_m": 60}
    found = simulate(FlightConfig.of(**settings, goal=(0.0, 0.0, 1.5), world=world), 0).recording
    away = np.linalg.norm(found.positions[0] - found.formations[0] - [0.0, 0.0, 1.5], axis=1)
    assert away.max() <= 1.5
    assert away.max() > 1.3
    assert np.mean(away > 1.5 / np.sqrt(2)) == pytest.approx(0.5, abs=0.12), "half of a disc is beyond this"


def test_a_flight_is_saved_where_there_is_no_folder_yet(tmp_path: Path) -> None:
    flight = simulate(FlightConfig.of(n=4, shape="grid", goal=(-20.0, 0.0, 1.5), seconds=0.2), 0)
    for name in ("flight.npz", "flight.csv"):
        assert save(flight, tmp_path / name[-3:] / "new" / name).is_file()


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
@pytest.mark.parametrize(
    ("key", "settings"),
    [
        ("goal.0", {"goal": (float("nan"), 0.0, 1.5)}),
        ("start.2", {"start": (0.0, 0.0, float("nan"))}),
        ("seconds", {"seconds": float("nan")}),
        ("world.ground_m", {"world": {"kind": "cloud", "file": "a.ply", "ground_m": float("nan")}}),
        ("acts.0.goal.1", {"acts": [{"at_s": 1.0, "shape": "ring", "goal": (0.0, float("nan"), 1.5)}]}),
        ("planner.doubt_mps", {"planner": {"doubt_mps": float("nan")}}),
        ("comms.range_m", {"comms": {"range_m": float("nan")}}),
    ],
)
def test_numbers_that_are_not_finite_are_refused(value: str, key: str, settings: dict[str, Any]) -> None:
    def filled(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: filled(inner) for name, inner in part.items()}
        if isinstance(part, (list, tuple)):
            return [filled(inner) for inner in part]
        return float(value) if isinstance(part, float) and part != part else part

    with pytest.raises(ConfigError, match=f"'{key}' must be a finite number, not {value}"):
        FlightConfig.of(**filled(settings))
    with pytest.raises(ConfigError, match="finite number"):
        vehicle(0, (0.0, 0.0, 1.0), n=4, **filled(settings))


@pytest.mark.parametrize("number", [".nan", ".inf", "1e400"])
def test_a_recipe_with_a_number_that_is_not_finite_is_refused_by_line(tmp_path: Path, number: str) -> None:
    (tmp_path / "a.yaml").write_text(f"job: robots.flight\nn: 4\ngoal: [0, {number}, 1.5]\n")
    with pytest.raises(ConfigError, match=r"a\.yaml:3: 'goal\.1' must be a finite number"):
        load_recipe([tmp_path / "a.yaml"], [], find_job)
    (tmp_path / "a.yaml").write_text("job: robots.flight\nn: 4\n")
    with pytest.raises(ConfigError, match=r"override .*'goal\.0' must be a finite number"):
        load_recipe([tmp_path / "a.yaml"], [f"goal=[{number}, 0, 1.5]"], find_job)
