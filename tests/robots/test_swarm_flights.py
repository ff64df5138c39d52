"""Whole flights among obstacles: nobody leaps from one path to the next, nobody touches anything, all arrive."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from espalier.robots.swarm.fleet.config import FlightConfig
from espalier.robots.swarm.fleet.figures import figures
from espalier.robots.swarm.fleet.simulate import Flight, _Fleet, simulate
from espalier.robots.swarm.traj.brake import brake
from espalier.robots.swarm.traj.checks import check
from espalier.robots.swarm.traj.config import LimitsConfig
from espalier.robots.swarm.traj.neighbours import pack
from espalier.robots.swarm.traj.trajectory import Trajectory
from espalier.robots.swarm.world.config import GapConfig
from espalier.robots.swarm.world.make import make_world

GAP = {"kind": "gap", "length_m": 8, "width_m": 14, "approach_m": 12}


class Leaps:
    """The greatest change of position, velocity and acceleration where one path takes the place of another."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.greatest, self.paths = np.zeros(3), 0
        turn = _Fleet.turn

        def watched(fleet: _Fleet, k: int, now_s: float, again: bool) -> None:
            """A turn, and how far what is flown then is from what was flown before, in m, m/s and m/s^2."""
            before = fleet.agents[k].flown
            turn(fleet, k, now_s, again)
            after = fleet.agents[k].flown
            if after is not before:
                self.paths += 1
                pairs = ((one.position(now_s), one.velocity(now_s), one.acceleration(now_s)) for one in (before, after))
                leaps = np.linalg.norm(np.subtract(*map(np.array, pairs)), axis=1)
                self.greatest = np.maximum(self.greatest, leaps)

        patch.setattr(_Fleet, "turn", watched)


@pytest.fixture
def leaps(monkeypatch: pytest.MonkeyPatch) -> Leaps:
    return Leaps(monkeypatch)


def flown(seed: int = 0, **settings: object) -> Flight:
    start_goal = {"shape": "grid", "start": (-10.0, 0.0, 1.5), "goal": (10.0, 0.0, 1.5)}
    return simulate(FlightConfig.of(**{**start_goal, **settings}), seed)


def assert_is_calm(flight: Flight, leaps: Leaps, share: float = 0.95) -> None:
    """No leaps, no touches, all of the way (share of it, at least), and nobody faster than the limit and a fifth."""
    measured = figures(flight)
    assert leaps.paths > 20 * len(flight.agents)
    assert leaps.greatest[:2].max() < 1e-6, "no position and no velocity leaps"
    assert measured["touches"] == 0
    assert measured["travelled_share"] > share
    with np.errstate(invalid="ignore"):
        speed = np.linalg.norm(np.diff(flight.recording.positions, axis=0), axis=2) / 0.05
    assert np.nanmax(speed) < 2.4


def test_through_a_gap_too_narrow_for_the_formation(leaps: Leaps) -> None:
    """Two at a time fit through it: ways end at the wall, and so do plans."""
    assert_is_calm(flown(n=16, world={**GAP, "gap_m": 2}, seconds=24.0), leaps)


def test_around_a_corner(leaps: Leaps) -> None:
    world = {"kind": "corridor", "length_m": 16, "corridor_m": 7}
    found = flown(n=5, shape="ring", spacing_m=1.2, start=(-10, 0, 1.5), goal=(0, 10, 1.5), world=world, seconds=20.0)
    assert_is_calm(found, leaps)


def test_through_a_cloud_of_points_while_one_fails(leaps: Leaps, tmp_path: Path) -> None:
    """Nine trunks as a file of points, one vehicle drifts, 150 ms pass and 30% of the messages are lost."""
    rng, corners = np.random.default_rng(0), np.array([[-14.0, -8, 0], [14, 8, 0]])
    trunks = [(x, y) for x in (-4.0, 0.0, 4.0) for y in (-5.0 + 0.4 * x, 0.3 * x, 5.0)]
    cylinder = [(np.cos(a), np.sin(a)) for a in np.linspace(0.0, 6.28, 24)]
    heights = np.arange(0.0, 4.0, 0.1)
    points = np.array([(x + 0.4 * c, y + 0.4 * s, z) for x, y in trunks for c, s in cylinder for z in heights])
    np.save(tmp_path / "trunks.npy", np.vstack([points + 0.01 * rng.normal(size=points.shape), corners]))
    found = flown(
        n=12,
        world={"kind": "cloud", "file": tmp_path / "trunks.npy"},
        failures=[{"kind": "drift", "vehicles": [5], "at_s": 4.0}],
        comms={"delay_s": 0.15, "loss": 0.3},
        seconds=20.0,
    )
    assert_is_calm(found, leaps)


@pytest.mark.parametrize("kind", ["freeze", "lie"])
def test_through_trees_and_rings_while_some_fail(kind: str, leaps: Leaps) -> None:
    forest = {"kind": "forest", "length_m": 10, "width_m": 14, "poles": 14, "rings": 3, "approach_m": 10}
    found = flown(n=16, world=forest, failures=[{"kind": kind, "share": 0.2, "at_s": 5.0}], seconds=22.0, seed=3)
    assert_is_calm(found, leaps)


def test_who_starts_beside_the_only_opening_finds_it() -> None:
    """14 m aside of the straight way."""
    world = {"kind": "gap", "gap_m": 3, "width_m": 60, "length_m": 20, "approach_m": 0}
    found = flown(n=1, start=(-7.0, 14.0, 1.5), goal=(7.0, 14.0, 1.5), world=world, seconds=26.0)
    assert figures(found)["travelled_share"] > 0.99


@pytest.mark.parametrize("seed", [1, 5])
def test_where_messages_are_late_lost_and_do_not_reach_far(seed: int) -> None:
    """20 vehicles change from a sphere to a cube, as they set out."""
    found = flown(
        seed,
        n=20,
        shape="sphere",
        spacing_m=1.5,
        start=(-8.0, 0.0, 6.0),
        goal=(-8.0, 0.0, 6.0),
        world={"kind": "open", "length_m": 60, "width_m": 44, "height_m": 14},
        acts=[{"at_s": 1.0, "shape": "cube", "spacing_m": 1.5, "goal": (8.0, 0.0, 6.0)}],
        comms={"delay_s": 0.3, "loss": 0.5, "range_m": 4.0},
        seconds=5.0,
    )
    assert figures(found)["touches"] == 0


def test_all_set_out_together() -> None:
    """Each plans at a time of its own between 0.5 and 1 s, and stays where it is until 1 s."""
    flight = flown(n=9, seconds=1.6)
    times, away = flight.recording.times, np.linalg.norm(np.diff(flight.recording.positions, axis=0), axis=2)
    assert (away[times[1:] < 1.01] == 0.0).all()
    assert (away[-1] > 0.0).all()
    assert all(len(agent.ms) >= 2 for agent in flight.agents)


def test_a_path_that_ends_moving_towards_a_wall_is_not_safe() -> None:
    """It ends 1.4 m before the wall at 1 m/s: 1.2 s later it is nearer than it may. A stop is not."""
    field, limits = make_world(GapConfig(gap_m=1.0)).field, LimitsConfig()
    piece = np.zeros((1, 6, 3))
    piece[0, :2] = [(-2.15, 5.0, 1.5), (1.0, 0.0, 0.0)]
    path = Trajectory(piece, np.array([0.5]))
    assert check(path, field, pack([]), limits, 0.0, 1.5).safe
    found = check(path, field, pack([]), limits, 0.0, 2.0)
    assert found.first_violation_s == pytest.approx(1.9 - limits.least_clearance_m, abs=0.06)
    assert check(brake(path, 0.5, 4.0), field, pack([]), limits, 0.5, 9.0).safe
