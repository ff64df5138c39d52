"""Errors, separations, clearances and figures of recordings that were made by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from espalier.core.errors import DataError
from espalier.robots.swarm.fleet.agent import Agent
from espalier.robots.swarm.fleet.comms import Inbox
from espalier.robots.swarm.fleet.config import FlightConfig
from espalier.robots.swarm.fleet.figures import figures
from espalier.robots.swarm.fleet.metrics import clearances, measure, separations, shape
from espalier.robots.swarm.fleet.recording import ARRAYS, Recording
from espalier.robots.swarm.fleet.simulate import Flagged, Flight, simulate
from espalier.robots.swarm.traj.trajectory import Trajectory
from espalier.robots.swarm.world.shapes import Pole
from espalier.robots.swarm.world.world import World

SQUARE = np.array([[-1.0, -1, 0], [-1, 1, 0], [1, -1, 0], [1, 1, 0]])


def recorded(positions: np.ndarray, slots: np.ndarray = SQUARE, **changes: object) -> Recording:
    """Of positions (t, n, 3), 0.05 s apart."""
    steps, n, _ = positions.shape
    found = Recording(
        0.05 * np.arange(steps),
        positions,
        np.tile(np.arange(n), (steps, 1)),
        np.zeros(steps, np.int64),
        slots[None],
        np.zeros((1, 3)),
        np.zeros((steps, n), np.bool_),
        np.zeros((steps, n), np.bool_),
        World.of_solids([], (-20, -20, 0), (20, 20, 6), 1.0),
    )
    return replace(found, **changes)


def test_an_error_is_over_the_size_that_the_formation_shrank_to() -> None:
    whole = SQUARE + 0.1 * np.array([[-1.0, -1, 0], [1, -1, 0], [-1, 1, 0], [1, 1, 0]]) / np.sqrt(2)
    found = shape(recorded(np.stack([whole, 0.5 * whole, 2.0 * whole])))
    assert found.error[1] == pytest.approx(found.error[0], rel=0.01)
    assert found.scale[1] == pytest.approx(0.5 * found.scale[0])
    assert found.error[2] == pytest.approx(2.0 * found.error[0], rel=0.01), "who spreads gains nothing"


def test_the_ground_is_touched_too(flight: Flight) -> None:
    """At 19 cm; by one that is adrift it is told apart."""
    seen = np.tile(SQUARE * 2.0 + np.array([0.0, 0.0, 1.5]), (3, 1, 1))
    seen[1, 2, 2], adrift = 0.19, np.zeros((3, 4), np.bool_)
    found = recorded(seen, SQUARE * 2.0)
    assert measure(found).safety.altitude == pytest.approx([1.5, 0.19, 1.5])
    assert measure(found).safety.touches.tolist() == [False, True, False]
    assert figures(replace(flight, recording=found))["least_altitude_m"] == pytest.approx(0.19)
    adrift[:, 2] = True
    safety = measure(replace(found, adrift=adrift)).safety
    assert (safety.touches.any(), safety.adrift_touches.tolist()) == (False, [False, True, False])
    gone = seen.copy()
    gone[1, 2] = np.nan
    assert measure(recorded(gone, SQUARE * 2.0)).safety.altitude == pytest.approx([1.5] * 3)


def turned(points: np.ndarray, angle: float, scale: float, to: tuple[float, ...]) -> np.ndarray:
    c, s = np.cos(angle), np.sin(angle)
    return scale * points @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T + to


def test_a_formation_that_is_moved_turned_and_scaled_is_right() -> None:
    seen = np.stack([SQUARE, turned(SQUARE, 1.0, 1.3, (5, 6, 7))])
    error, misfit, scale, off = shape(recorded(seen))
    assert scale == pytest.approx([1.0, 1.3])
    assert off == pytest.approx(np.zeros((2, 4)), abs=1e-9)
    assert error == pytest.approx([0.0, 0.0], abs=1e-9)
    assert misfit == pytest.approx([0.0, 0.0], abs=1e-9)


def test_an_error_by_hand() -> None:
    """Two diagonal corners of a square pulled out by d, two pushed in: the best fit is the square, d from each."""
    d = 0.1
    off = SQUARE + d * np.array([[-1.0, -1, 0], [1, -1, 0], [-1, 1, 0], [1, 1, 0]]) / np.sqrt(2)
    error, misfit, _, away = shape(recorded(off[None]))
    assert away == pytest.approx(np.full((1, 4), d), rel=1e-2)
    assert error == pytest.approx([d / np.sqrt(8)], rel=1e-2)
    assert misfit == pytest.approx([4 * d / np.sqrt(8)], rel=1e-2)


def test_the_struck_the_gone_and_those_without_a_slot_do_not_count() -> None:
    seen = np.stack([SQUARE] * 3)
    seen[1:, 3] = 9.0, 9.0, 9.0
    right = recorded(seen)
    assert shape(right).error[1] > 0.1
    struck = np.zeros((3, 4), np.bool_)
    struck[2, 3] = True
    assert shape(replace(right, struck=struck)).error == pytest.approx([0, 0, 0], abs=1e-9)
    slot = right.slot.copy()
    slot[1:, 3] = -1
    assert shape(replace(right, slot=slot)).error == pytest.approx([0, 0, 0], abs=1e-9)
    gone = seen.copy()
    gone[1:, 3] = np.nan
    assert shape(recorded(gone)).error == pytest.approx([0, 0, 0], abs=1e-9)
    assert np.isnan(shape(replace(right, struck=np.ones((3, 4), np.bool_))).error).all()


def test_slots_and_formations_are_those_of_their_time() -> None:
    line = np.array([[-3.0, 0, 0], [-1, 0, 0], [1, 0, 0], [3, 0, 0]])
    swapped = SQUARE[[1, 0, 2, 3]]
    found = recorded(
        np.stack([SQUARE, swapped, line]),
        slot=np.array([[0, 1, 2, 3], [1, 0, 2, 3], [0, 1, 2, 3]]),
        act=np.array([0, 0, 1]),
        formations=np.stack([SQUARE, line]),
        goals=np.zeros((2, 3)),
    )
    assert shape(found).error == pytest.approx([0, 0, 0], abs=1e-9)
    assert shape(replace(found, act=np.array([0, 0, 0]))).error[2] > 0.1


def test_vehicles_that_pass_between_two_looks_are_seen_to_pass() -> None:
    """Head on at 20 m/s each: 1 m apart at one look, 1 m on the other side at the next; 0.1 m beside each other."""
    seen = np.array([[[-0.5, 0.0, 1], [0.5, 0.1, 1]], [[0.5, 0.0, 1], [-0.5, 0.1, 1]], [[1.5, 0, 1], [-1.5, 0.1, 1]]])
    assert separations(recorded(seen, SQUARE[:2]))[0] == pytest.approx([0.1, np.hypot(1.0, 0.1), np.hypot(3.0, 0.1)])


def test_height_counts_half_and_who_is_gone_is_no_obstacle() -> None:
    seen = np.array([[[0.0, 0, 1], [0, 0, 2], [np.nan, np.nan, np.nan]]] * 2)
    assert separations(recorded(seen, SQUARE[:3]))[0] == pytest.approx([0.5, 0.5])
    assert np.isinf(separations(recorded(seen[:, 1:], SQUARE[:2]))[0]).all()


def test_clearance_is_to_the_solid_itself() -> None:
    world = World.of_solids([Pole(0.0, 0.0, 0.5, 0.0, 6.0)], (-20, -20, 0), (20, 20, 6), 0.5)
    seen = np.array([[[2.0, 0, 1], [0, 3, 1]], [[0.4, 0, 1], [0, 3, 1]], [[np.nan] * 3, [0, 3, 1]]])
    assert clearances(recorded(seen, SQUARE[:2], world=world))[0] == pytest.approx([1.5, -0.1, 2.5])


def test_what_those_that_cannot_steer_do_among_themselves_and_to_obstacles_is_told_apart() -> None:
    """The first two are 0.14 m apart, in a pole of 0.5 m radius; the third is 1.9 m from the second, 1.5 m clear."""
    world = World.of_solids([Pole(0.0, 0.0, 0.5, 0.0, 6.0)], (-20, -20, 0), (20, 20, 6), 0.5)
    seen = np.array([[[0.1, 0.0, 1], [0, 0.1, 1], [0, 2.0, 1]]])
    found = recorded(seen, SQUARE[:3], world=world)
    assert clearances(found)[:, 0] == pytest.approx([-0.4, np.inf])
    assert separations(found)[:, 0] == pytest.approx([0.1 * np.sqrt(2), np.inf])
    two = replace(found, adrift=np.array([[True, True, False]]))
    assert clearances(two)[:, 0] == pytest.approx([1.5, -0.4])
    assert separations(two)[:, 0] == pytest.approx([1.9, 0.1 * np.sqrt(2)]), "the third and the second; the first two"
    one = replace(found, adrift=np.array([[True, False, False]]))
    assert separations(one)[:, 0] == pytest.approx([0.1 * np.sqrt(2), np.inf])
    assert separations(replace(found, adrift=np.ones((1, 3), np.bool_)))[0] == np.inf
    liars = replace(found, struck=np.ones((1, 3), np.bool_))
    assert clearances(liars)[0] == pytest.approx([-0.4]), "something befell them, but they steer"


@pytest.mark.parametrize(
    ("apart", "clear", "touches"), [(0.39, 1.0, True), (0.41, 1.0, False), (3.0, 0.19, True), (3.0, 0.21, False)]
)
def test_a_touch_is_of_bodies_with_a_radius_of_20_cm(apart: float, clear: float, touches: bool) -> None:
    world = World.of_solids([Pole(0.0, 0.0, 0.5, 0.0, 6.0)], (-20, -20, 0), (20, 20, 6), 0.5)
    found = recorded(np.array([[[0.5 + clear, 0, 1], [0.5 + clear + apart, 0, 1]]]), SQUARE[:2], world=world)
    assert measure(found).safety.touches.tolist() == [touches]
    assert measure(found).safety.adrift_touches.tolist() == [False]
    adrift = measure(replace(found, adrift=np.ones((1, 2), np.bool_))).safety
    assert (adrift.touches.tolist(), adrift.adrift_touches.tolist()) == ([False], [touches])


@pytest.fixture(scope="module")
def flight() -> Flight:
    return simulate(FlightConfig.of(n=4, shape="grid", goal=(-20.0, 0.0, 1.5), seconds=1.0), 0)


def test_figures_by_hand(flight: Flight) -> None:
    """A square flies 10 m along x at 2 m/s and stops there for 1 s; its goal is at 10 m."""
    x = np.minimum(0.1 * np.arange(121), 10.0)
    seen = SQUARE * 2.0 + np.stack([x, 0 * x, 0 * x + 1.5], -1)[:, None]
    found = recorded(seen, SQUARE * 2.0, goals=np.array([[10.0, 0, 1.5]]))
    measured = figures(replace(flight, recording=found))
    assert measured["travelled_share"] == pytest.approx(1.0)
    assert measured["success"] == 1.0
    assert measured["arrival_s"] == pytest.approx((10.0 - 0.5) / 2.0, abs=0.051)
    assert measured["effort_m2ps3"] == pytest.approx((2.0 / 0.05) ** 2 * 0.05)
    assert measured["least_separation_m"] == pytest.approx(4.0)
    assert measured["touches"] == 0.0
    assert "flag_recall" not in measured
    near = replace(found, positions=seen * [0.05, 0.05, 1.0])
    assert figures(replace(flight, recording=near))["touches"] == 121
    assert figures(replace(flight, recording=near))["success"] == 0.0
    brushed = seen.copy()
    brushed[60, 1] = brushed[60, 0] + [0.0, 0.2, 0.0]
    touched = figures(replace(flight, recording=replace(found, positions=brushed)))
    assert touched["touches"] >= 1
    assert np.isfinite(touched["arrival_s"])
    assert touched["success"] == 0.0, "it arrived, and touched"
    assert (measured["scale_least"], measured["scale_most"]) == pytest.approx((1.0, 1.0))
    assert measured["least_altitude_m"] == pytest.approx(1.5)
    assert measured["error_percent_way"] == pytest.approx(0.0, abs=1e-6)
    slot = found.slot.copy()
    slot[-1, 3] = 2
    shared = figures(replace(flight, recording=replace(found, slot=slot)))
    assert (shared["without_slot"], shared["success"]) == (1.0, 0.0)
    slot[-1, 3] = -1
    without = figures(replace(flight, recording=replace(found, slot=slot)))
    assert np.isfinite(without["arrival_s"]), "those that have one are there"
    assert (without["without_slot"], without["success"]) == (1.0, 0.0)
    slot[-1] = -1
    nobody = figures(replace(flight, recording=replace(found, slot=slot)))
    assert nobody["arrived_acts"] == 0.0, "without slots, nobody is at its own"
    assert measured["arrived_acts"] == 1.0
    for goal, share in (((8.0, 0, 1.5), 0.75), ((10.0, 4.0, 1.5), 1 - 4 / np.hypot(10, 4)), ((0.0, 0, 1.5), 0.0)):
        past = figures(replace(flight, recording=replace(found, goals=np.array([goal]))))
        assert past["travelled_share"] == pytest.approx(share), "too far, aside, or never back"
        assert past["arrived_acts"] == 0.0
    late = figures(replace(flight, recording=replace(found, goals=np.array([[20.0, 0, 1.5]]))))
    assert late["travelled_share"] == late["travelled_least"] == pytest.approx(0.5)
    assert late["success"] == 0.0
    assert np.isnan(late["arrival_s"])


def test_a_formation_with_empty_slots_is_no_success(flight: Flight) -> None:
    """Three of four stand at their places, as they would where ranks were closed; the fourth is gone."""
    seen = np.tile(SQUARE * 2.0 + np.array([0.0, 0.0, 1.5]), (41, 1, 1))
    seen[:, 3] = np.nan
    struck = np.zeros((41, 4), np.bool_)
    struck[:, 3] = True
    found = recorded(seen, SQUARE * 2.0, struck=struck, adrift=struck, goals=np.array([[0.0, 0, 1.5]]))
    measured = figures(replace(flight, recording=found))
    assert (measured["filled_share"], measured["fillable_share"]) == (0.75, 0.75)
    assert measured["error_percent"] == pytest.approx(0.0, abs=1e-6)
    assert measured["success"] == 0.0
    assert figures(replace(flight, recording=found, success_share=0.75))["success"] == 1.0
    slot = found.slot.copy()
    slot[:, 2] = 1
    doubled = figures(replace(flight, recording=replace(found, slot=slot), success_share=0.75))
    assert (doubled["filled_share"], doubled["fillable_share"], doubled["success"]) == (0.5, 0.75, 0.0)
    struck[-10:] = False
    seen[-10:, 3] = seen[0, 0] + [0.0, 4.0, 0.0]
    back = figures(replace(flight, recording=replace(found, struck=struck)))
    assert (back["filled_share"], back["fillable_share"]) == (1.0, 1.0), "who can fly again fills its slot"


def test_figures_of_vehicles_that_differ_by_hand(flight: Flight) -> None:
    """Four fly 10 m in 5 s and stand for 5 s. While they fly the square is twice as large; one of the corners is 1 m
    off along its diagonal, and 2 m once they stand. The last is adrift 1 m below for 2.5 s.
    """
    x = np.minimum(0.1 * np.arange(201), 10.0)
    moves = x < 9.99
    seen = SQUARE * np.where(moves, 2.0, 1.0)[:, None, None] + np.stack([x, 0 * x, 0 * x + 1.5], -1)[:, None]
    seen[:, 0] -= np.where(moves, 1.0, 2.0)[:, None] * np.array([1.0, 1.0, 0.0]) / np.sqrt(2)
    struck = np.zeros((201, 4), np.bool_)
    struck[:50, 3] = True
    seen[:50, 3, 2] -= 1.0
    goals, formations = np.array([[10.0, 0, 1.5]] * 2), np.stack([SQUARE, SQUARE])
    act = (np.arange(201) >= 150).astype(np.int64)
    found = recorded(seen, struck=struck, adrift=struck, act=act, goals=goals, formations=formations)
    error, misfit, scale, _ = measure(found).shape
    measured, steps = (
        figures(replace(flight, recording=found)),
        np.linalg.norm(np.diff(seen[:, :3].mean(1), axis=0), axis=1),
    )
    assert measured["error_percent"] == pytest.approx(100 * error.mean())
    assert measured["error_percent_end"] == pytest.approx(100 * error[-1])
    assert measured["error_percent_way"] == pytest.approx(100 * (error[1:] * steps).sum() / steps.sum())
    assert measured["error_percent_way"] < 0.95 * measured["error_percent"]
    assert measured["misfit"] == pytest.approx((misfit[1:] * steps).sum() / steps.sum())
    assert measured["error_percent_acts"] == pytest.approx(100 * error[149])
    backwards = replace(found, positions=seen[::-1], act=np.zeros(201, np.int64))
    assert figures(replace(flight, recording=backwards))["error_percent_acts"] == pytest.approx(100 * error[60])
    assert error[60] < 0.9 * error[-1]
    assert (measured["scale_least"], measured["scale_most"]) == pytest.approx((scale[-1], scale[0]))
    assert measured["scale_least"] < 1.6 < measured["scale_most"]
    assert measured["least_altitude_m"] == pytest.approx(1.5), "of those that steer"
    way, wanted = seen[-1, :3] - seen[0, :3], SQUARE[:3] + np.array([10.0, 0, 1.5]) - seen[0, :3]
    shares = 1.0 - np.linalg.norm(wanted - way, axis=1) / np.linalg.norm(wanted, axis=1)
    assert shares[1:] == pytest.approx([1.0, 1.0])
    assert shares[0] < 0.98
    assert measured["travelled_share"] == pytest.approx((shares[0] + 2.0) / 3.0)
    assert measured["travelled_least"] == pytest.approx(shares[0])
    assert measured["arrived_acts"] == pytest.approx(2 / 3), "the first is 2 m off"
    pair, both = seen.copy(), struck.copy()
    pair[:10, 2] = pair[:10, 3] + np.array([0.0, 0.1, 0.0])
    both[:50, 2] = True
    near = figures(replace(flight, recording=replace(found, positions=pair, struck=both, adrift=both)))
    assert (near["touches"], near["touches_adrift"]) == (0.0, 10.0)


def test_flags_by_hand(flight: Flight) -> None:
    """6 of 8 flags are right, of 9 that were due; where a count is 0 there is nothing to say."""
    flags = figures(replace(flight, flagged=Flagged(6, 8, 9)))
    assert (flags["flag_precision"], flags["flag_recall"]) == pytest.approx((0.75, 2 / 3))
    silent = figures(replace(flight, flagged=Flagged(0, 0, 9)))
    assert silent["flag_recall"] == 0.0
    assert "flag_precision" not in silent, "nobody was held for out"
    wrong = figures(replace(flight, flagged=Flagged(0, 3, 0)))
    assert wrong["flag_precision"] == 0.0
    assert "flag_recall" not in wrong, "nothing befell anybody"


def test_flags_are_counted_at_all_plans_of_the_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of seven, one lies from 1.5 s until 3 s: counted once more here. All are heard, and nobody plans between."""
    seen, plan, right = [], Agent.plan, np.zeros(3, np.int64)

    def watched(agent: Agent, now_s: float, inbox: Inbox) -> Trajectory:
        found = plan(agent, now_s, inbox)
        assert agent.registration is not None
        seen.append((agent.me, now_s, agent.registration.inlier))
        return found

    monkeypatch.setattr(Agent, "plan", watched)
    lies = {"kind": "lie", "vehicles": [4], "at_s": 1.5, "until_s": 3.0}
    found = simulate(FlightConfig.of(n=7, shape="hexagon", goal=(-15.0, 0.0, 1.5), seconds=5.0, failures=[lies]), 0)
    for me, now_s, inlier in seen:
        others = np.arange(7) != me
        if me != 4:
            out, lying = ~inlier & others, (np.arange(7) == 4) & (1.5 <= now_s < 3.0)
            right += [(out & lying).sum(), out.sum(), lying.sum()]
    assert found.flagged == tuple(right)
    assert found.flagged.right > 6


def test_who_can_fly_again_rejoins_by_hand(flight: Flight) -> None:
    """The fourth stays behind, 2 m, from 1 s to 2 s, and is back 0.5 s later; another never is."""
    seen = np.tile(SQUARE * 2.0 + np.array([0.0, 0.0, 1.5]), (81, 1, 1))
    seen[20:50, 3, 0] -= 2.0
    struck = np.zeros((81, 4), np.bool_)
    struck[20:40, 3] = True
    found = recorded(seen, SQUARE * 2.0, struck=struck, adrift=struck)
    measured = figures(replace(flight, recording=found))
    assert (measured["rejoined_share"], measured["rejoined_s"]) == pytest.approx((1.0, 0.5))
    seen[50:, 3, 0] -= 2.0
    measured = figures(replace(flight, recording=found))
    assert measured["rejoined_share"] == 0.0
    assert np.isnan(measured["rejoined_s"])
    assert "rejoined_s" not in figures(flight)


@pytest.mark.filterwarnings("error")
def test_where_nobody_is_healthy_or_nobody_planned_twice_there_is_nothing_to_say(flight: Flight) -> None:
    recording = flight.recording
    nobody = figures(replace(flight, recording=replace(recording, struck=np.ones_like(recording.struck))))
    assert np.isnan([nobody[name] for name in ("misfit", "travelled_share", "effort_m2ps3", "arrival_s")]).all()
    assert nobody["success"] == 0.0
    short = figures(simulate(FlightConfig.of(n=4, shape="grid", goal=(-20.0, 0.0, 1.5), seconds=0.01), 0))
    assert np.isnan(short["plan_ms_median"])


def test_a_recording_comes_back(tmp_path: Path, flight: Flight) -> None:
    flight.recording.save(tmp_path / "flight.npz")
    found = Recording.load(tmp_path / "flight.npz")
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(found, name), getattr(flight.recording, name))
    np.testing.assert_array_equal(found.world.occupancy, flight.recording.world.occupancy)
    np.testing.assert_array_equal(measure(found).shape.error, measure(flight.recording).shape.error)
    with np.load(tmp_path / "flight.npz") as archive:
        arrays = dict(archive)
    for change, says in (
        ({"slot": None}, "'slot'"),
        ({"positions": arrays["positions"][:, :2]}, "fit"),
        ({"goals": arrays["goals"][:0]}, "fit"),
    ):
        np.savez(tmp_path / "bad.npz", **{k: v for k, v in {**arrays, **change}.items() if v is not None})
        with pytest.raises(DataError, match=says):
            Recording.load(tmp_path / "bad.npz")
